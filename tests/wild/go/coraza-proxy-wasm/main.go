// Starts OWASP's own Proxy-Wasm filter, as its module is published: nothing of its logic stands here.
package main

import (
	"github.com/corazawaf/coraza-proxy-wasm/wasmplugin"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Its own main does this, but plain Go runs no main in a guest.
func init() { proxywasm.SetVMContext(wasmplugin.NewVMContext()) }

func main() {}
