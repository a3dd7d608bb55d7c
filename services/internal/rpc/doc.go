// Package rpc is the frame that every gRPC service stands in: TLS, who calls, who may call what, how errors travel, pages
// and health. It knows nothing of what any one service does.
package rpc
