// One request on its way through the rules.
package main

import (
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3/types"
)

type inspection struct {
	tx types.Transaction
	// The client's number for this request, if it has one: a line of the log without it is hard to use.
	request string
	// Length of the body as the head tells it; -1 when it does not.
	declared int
	limit    int
	reject   bool
	protocol string
}

// Tells the engine all about the head, in the order of the wire.
func (e *engine) begin(pairs [][2]string, protocol, client string) *inspection {
	i := &inspection{tx: e.waf.NewTransaction(), declared: -1, limit: e.limit, reject: e.reject, protocol: protocol}
	if i.protocol == "" {
		i.protocol = "HTTP/1.1"
	}
	host, port := split(client)
	i.tx.ProcessConnection(host, port, "", 0)

	var method, path, authority string
	var named bool
	for _, pair := range pairs {
		name, value := pair[0], pair[1]
		switch {
		case name == ":method":
			method = value
		case name == ":path":
			path = value
		case name == ":authority":
			authority = value
		case strings.HasPrefix(name, ":"):
		default:
			i.header(name, value)
			named = named || strings.EqualFold(name, "host")
		}
	}
	// The host has become a pseudo header; rules know it by its old name.
	if authority != "" {
		if !named {
			i.header("host", authority)
		}
		i.tx.SetServerName(authority)
	}
	i.tx.ProcessURI(path, method, i.protocol)
	return i
}

func (i *inspection) header(name, value string) {
	i.tx.AddRequestHeader(name, value)
	switch strings.ToLower(name) {
	case "x-request-id":
		i.request = value
	case "content-length":
		if length, err := strconv.Atoi(value); err == nil {
			i.declared = length
		}
	}
}

// Runs the rules of the head; those of the body too when there is none.
func (i *inspection) head(end bool) *verdict {
	if found := i.tx.ProcessRequestHeaders(); found != nil {
		return i.verdict(found)
	}
	if end {
		return i.finish()
	}
	if i.reject && i.declared > i.limit {
		return i.tooLarge()
	}
	return nil
}

// Takes a piece of the body. Full means that the limit was reached and the rules have run on what came before.
func (i *inspection) body(chunk []byte) (found *verdict, full bool) {
	interruption, written, err := i.tx.WriteRequestBody(chunk)
	switch {
	case err != nil:
		return i.unread(err), false
	case interruption == nil:
		return nil, written < len(chunk)
	case interruption.RuleID == 0:
		// No rule did it: the engine's own limit was passed.
		return i.tooLarge(), false
	default:
		return i.verdict(interruption), false
	}
}

// The request is complete.
func (i *inspection) finish() *verdict {
	found, err := i.tx.ProcessRequestBody()
	switch {
	case err != nil:
		return i.unread(err)
	case found != nil:
		return i.verdict(found)
	}
	return nil
}

// Runs the rules of the response's head, and the sum of their scores, which the Core Rule Set draws behind the body.
func (i *inspection) response(pairs [][2]string) *verdict {
	status := 0
	for _, pair := range pairs {
		if pair[0] == ":status" {
			status, _ = strconv.Atoi(pair[1])
		} else if !strings.HasPrefix(pair[0], ":") {
			i.tx.AddResponseHeader(pair[0], pair[1])
		}
	}
	found := i.tx.ProcessResponseHeaders(status, i.protocol)
	if found == nil {
		found, _ = i.tx.ProcessResponseBody()
	}
	if found == nil {
		return nil
	}
	return i.verdict(found)
}

func (i *inspection) interrupted() bool { return i.tx.IsInterrupted() }

// Nobody outside can do anything about it, so there is nothing to report.
func (i *inspection) free() { _ = i.tx.Close() }
