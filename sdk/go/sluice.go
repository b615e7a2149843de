// Package sluice is what a Go filter author uses: typed configuration and readable refusals on top of the official SDK.
//
// A filter is a function from its settings to the context of one exchange:
//
//	type settings struct {
//		Greeting string `json:"greeting"`
//	}
//
//	func init() {
//		sluice.Filter(func(s *settings) types.HttpContext { return &hello{settings: s} })
//	}
//
// Everything else is the official SDK, github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm, unchanged.
package sluice

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Checked may be implemented by settings that can be wrong although their JSON is right.
// An error refuses the configuration before any request sees it.
type Checked interface {
	Check() error
}

// Filter registers a filter. Call it once, in an init function: main is never run in a guest.
// An empty configuration reads as {}, and an unknown key is an error.
func Filter[S any](begin func(settings *S) types.HttpContext) {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext {
		return &plugin[S]{begin: begin}
	})
}

type plugin[S any] struct {
	types.DefaultPluginContext
	settings *S
	begin    func(*S) types.HttpContext
}

func (p *plugin[S]) OnPluginStart(int) types.OnPluginStartStatus {
	settings, err := read[S]()
	if err != nil {
		proxywasm.LogErrorf("configuration refused: %v", err)
		return types.OnPluginStartStatusFailed
	}
	p.settings = settings
	return types.OnPluginStartStatusOK
}

func (p *plugin[S]) NewHttpContext(uint32) types.HttpContext {
	return p.begin(p.settings)
}

func read[S any]() (*S, error) {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		return nil, err
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		text = []byte("{}")
	}
	settings := new(S)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(settings); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	if checked, ok := any(settings).(Checked); ok {
		return settings, checked.Check()
	}
	return settings, nil
}
