// Command escrowctl is the command line of Countersign: for vendors, government labs, independent rebuilders, auditors
// and the operators of a service.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/commands"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	return commands.Run(ctx, os.Args[1:], commands.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
