// Greets the upstream and the client with a header: the smallest Go filter that does something.
package main

import (
	"errors"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
	sluice "github.com/sluicegate/sluicegate/sdk/go"
)

const name = "x-hello-go"

type settings struct {
	Greeting *string `json:"greeting"`
}

// Check refuses what could not be written into a header.
func (s *settings) Check() error {
	if s.Greeting == nil {
		return errors.New("missing field \"greeting\"")
	}
	control := func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }
	if strings.ContainsFunc(*s.Greeting, control) {
		return errors.New("the greeting goes into a header, so it cannot hold control characters")
	}
	proxywasm.LogInfof("hello from Go: greeting is %q", *s.Greeting)
	return nil
}

type hello struct {
	types.DefaultHttpContext
	*settings
}

func init() {
	sluice.Filter(func(s *settings) types.HttpContext { return &hello{settings: s} })
}

// A guest has no main: the host calls what init registered.
func main() {}

func (h *hello) OnHttpRequestHeaders(int, bool) types.Action {
	sluice.Request().Add(name, *h.Greeting)
	return types.ActionContinue
}

func (h *hello) OnHttpResponseHeaders(int, bool) types.Action {
	sluice.Response().Add(name, *h.Greeting)
	return types.ActionContinue
}
