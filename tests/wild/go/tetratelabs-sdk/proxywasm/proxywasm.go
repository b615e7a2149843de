// Package proxywasm is the old, TinyGo-only SDK by name and the official SDK by deed, so that filters written for the old
// one can be built by plain Go. It holds what such filters use here and nothing else.
package proxywasm

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

// A MetricCounter has methods, so the type itself is the same.
type MetricCounter = proxywasm.MetricCounter

// Each is the function of the official SDK under the same name.
var (
	SetVMContext            = proxywasm.SetVMContext
	DefineCounterMetric     = proxywasm.DefineCounterMetric
	GetPluginConfiguration  = proxywasm.GetPluginConfiguration
	GetProperty             = proxywasm.GetProperty
	GetHttpRequestHeader    = proxywasm.GetHttpRequestHeader
	GetHttpRequestHeaders   = proxywasm.GetHttpRequestHeaders
	GetHttpRequestBody      = proxywasm.GetHttpRequestBody
	GetHttpResponseHeader   = proxywasm.GetHttpResponseHeader
	GetHttpResponseHeaders  = proxywasm.GetHttpResponseHeaders
	GetHttpResponseBody     = proxywasm.GetHttpResponseBody
	ReplaceHttpResponseBody = proxywasm.ReplaceHttpResponseBody
	SendHttpResponse        = proxywasm.SendHttpResponse
	LogTracef               = proxywasm.LogTracef
	LogDebug                = proxywasm.LogDebug
	LogDebugf               = proxywasm.LogDebugf
	LogInfo                 = proxywasm.LogInfo
	LogInfof                = proxywasm.LogInfof
	LogWarn                 = proxywasm.LogWarn
	LogWarnf                = proxywasm.LogWarnf
	LogError                = proxywasm.LogError
	LogErrorf               = proxywasm.LogErrorf
	LogCritical             = proxywasm.LogCritical
	LogCriticalf            = proxywasm.LogCriticalf
)
