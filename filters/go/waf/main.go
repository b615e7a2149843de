// Inspects requests with the OWASP Coraza engine and the Core Rule Set, and answers attacks with 403.
package main

import (
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
	sluice "github.com/sluicegate/sluicegate/sdk/go"
)

func init() {
	sluice.Filter(func(s *settings) types.HttpContext { return &stream{engine: s.engine} })
}

// A guest has no main: the host calls what init registered.
func main() {}

// One exchange. What it learns goes into its inspection; what it does with the verdict stands here.
type stream struct {
	types.DefaultHttpContext
	*engine
	*inspection
	// How much of the body was read: while it is held, each callback counts it from its beginning.
	read int
	// The request passed or was answered: the rest of its body is nobody's business any more.
	decided, answered bool
}

func (s *stream) OnHttpRequestHeaders(_ int, end bool) types.Action {
	pairs, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		return s.broken("the request's headers", err)
	}
	protocol, _ := proxywasm.GetProperty([]string{"request", "protocol"})
	client, _ := proxywasm.GetProperty([]string{"source", "address"})
	s.inspection = s.begin(pairs, string(protocol), string(client))
	if v := s.head(end); v != nil {
		return s.judge(v)
	}
	if end {
		s.decided = true
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestBody(size int, end bool) types.Action {
	if s.decided || s.inspection == nil {
		return types.ActionContinue
	}
	if size > s.read {
		chunk, err := proxywasm.GetHttpRequestBody(s.read, size-s.read)
		if err != nil {
			return s.broken("the request's body", err)
		}
		s.read = size
		v, full := s.body(chunk)
		if v != nil {
			return s.judge(v)
		}
		if full {
			// The rules have run on the part that counts.
			s.decided = true
			return types.ActionContinue
		}
	}
	if !end {
		return types.ActionPause
	}
	return s.close()
}

// OnHttpRequestTrailers ends a body that has trailers: no body callback told its end.
func (s *stream) OnHttpRequestTrailers(int) types.Action {
	if s.decided || s.inspection == nil {
		return types.ActionContinue
	}
	return s.close()
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	if !s.responses || s.answered || s.inspection == nil || s.interrupted() {
		return types.ActionContinue
	}
	pairs, err := proxywasm.GetHttpResponseHeaders()
	if err != nil {
		return s.broken("the response's headers", err)
	}
	if v := s.response(pairs); v != nil {
		return s.judge(v)
	}
	return types.ActionContinue
}

// OnHttpStreamDone gives the transaction back, whatever became of the stream.
func (s *stream) OnHttpStreamDone() {
	if s.inspection == nil {
		return
	}
	if r := s.matches(); r != nil && !s.interrupted() {
		proxywasm.LogDebug(r.line("passed"))
	}
	s.inspection.free()
	s.inspection = nil
}

// The whole request is there.
func (s *stream) close() types.Action {
	if v := s.finish(); v != nil {
		return s.judge(v)
	}
	s.decided = true
	return types.ActionContinue
}

// Logs what was found; answers only when it was asked to block.
func (s *stream) judge(v *verdict) types.Action {
	s.decided = true
	if !s.block {
		proxywasm.LogWarn(v.line("detected"))
		return types.ActionContinue
	}
	s.answered = true
	proxywasm.LogWarn(v.line("blocked"))
	return sluice.Respond(v.status, v.text(),
		[2]string{"content-type", "text/plain"},
		[2]string{"x-waf", v.header()})
}

// What could not be read was not inspected, so it does not pass a filter that blocks.
func (s *stream) broken(what string, err error) types.Action {
	proxywasm.LogErrorf("cannot read %s: %v", what, err)
	s.decided = true
	if !s.block {
		return types.ActionContinue
	}
	s.answered = true
	return sluice.Respond(500, "not inspected\n", [2]string{"content-type", "text/plain"})
}

// Host and port of "10.0.0.1:80" or "[::1]:80"; the engine wants them apart.
func split(address string) (string, int) {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			port, _ := strconv.Atoi(address[i+1:])
			host := address[:i]
			if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
				host = host[1 : n-1]
			}
			return host, port
		}
	}
	return address, 0
}
