module github.com/sluicegate/sluicegate/filters/go/hello

go 1.24

require (
	github.com/proxy-wasm/proxy-wasm-go-sdk v0.0.0-20260105142703-44c7d5847745
	github.com/sluicegate/sluicegate/sdk/go v0.0.0
)

replace github.com/sluicegate/sluicegate/sdk/go => ../../../sdk/go
