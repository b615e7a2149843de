// Headers as a value, so that a filter treats both sides of an exchange with the same code.

package sluice

import (
	"errors"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Headers live in the proxy: each call reads or changes the message itself.
type Headers struct {
	get          func(string) (string, error)
	pairs        func() ([][2]string, error)
	add, replace func(string, string) error
	remove       func(string) error
}

// Request gives the headers of the request, with :method, :path, :authority and :scheme among them.
func Request() Headers {
	return Headers{
		proxywasm.GetHttpRequestHeader, proxywasm.GetHttpRequestHeaders,
		proxywasm.AddHttpRequestHeader, proxywasm.ReplaceHttpRequestHeader, proxywasm.RemoveHttpRequestHeader,
	}
}

// Response gives the headers of the response, with :status among them.
func Response() Headers {
	return Headers{
		proxywasm.GetHttpResponseHeader, proxywasm.GetHttpResponseHeaders,
		proxywasm.AddHttpResponseHeader, proxywasm.ReplaceHttpResponseHeader, proxywasm.RemoveHttpResponseHeader,
	}
}

// Get gives the first value of that name, and whether there is one. The official SDK reports an absent header as an error.
func (h Headers) Get(name string) (string, bool) {
	value, err := h.get(name)
	return value, err == nil
}

// All gives every value of that name; reading only the first of a repeated header is how checks are bypassed.
func (h Headers) All(name string) []string {
	var values []string
	pairs, _ := h.pairs()
	for _, pair := range pairs {
		if strings.EqualFold(pair[0], name) {
			values = append(values, pair[1])
		}
	}
	return values
}

// Add adds one more value of that name.
func (h Headers) Add(name, value string) { note("add", name, h.add(name, value)) }

// Set replaces all values of that name by this one.
func (h Headers) Set(name, value string) { note("set", name, h.replace(name, value)) }

// Remove removes all values of that name; it need not be there.
func (h Headers) Remove(name string) {
	if err := h.remove(name); !errors.Is(err, types.ErrorStatusNotFound) {
		note("remove", name, err)
	}
}

// A refused change is a mistake of the filter, not of the request: it is logged, and the request goes on.
func note(what, name string, err error) {
	if err != nil {
		proxywasm.LogErrorf("cannot %s header %q: %v", what, name, err)
	}
}

// Respond ends the exchange with this response; return what it returns.
func Respond(status uint32, body string, headers ...[2]string) types.Action {
	if err := proxywasm.SendHttpResponse(status, headers, []byte(body), -1); err != nil {
		proxywasm.LogErrorf("cannot respond with %d: %v", status, err)
		return types.ActionContinue
	}
	return types.ActionPause
}
