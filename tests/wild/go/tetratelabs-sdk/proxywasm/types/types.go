// Package types has the official SDK's types under the path of the old one.
package types

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"

type (
	Action               = types.Action
	HttpContext          = types.HttpContext
	PluginContext        = types.PluginContext
	VMContext            = types.VMContext
	DefaultHttpContext   = types.DefaultHttpContext
	DefaultPluginContext = types.DefaultPluginContext
	DefaultVMContext     = types.DefaultVMContext
	OnPluginStartStatus  = types.OnPluginStartStatus
)

const (
	ActionContinue            = types.ActionContinue
	ActionPause               = types.ActionPause
	OnPluginStartStatusOK     = types.OnPluginStartStatusOK
	OnPluginStartStatusFailed = types.OnPluginStartStatusFailed
)

var ErrorStatusNotFound = types.ErrorStatusNotFound
