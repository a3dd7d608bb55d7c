package deposit

import (
	"context"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// uploadIdle is how long a stream may bring nothing before it loses its place: a client whose machine or network has died
// would otherwise keep a blob from everybody else.
const uploadIdle = 60 * time.Second

// incoming is what a stream brings, received ahead of its use: one message is unpacked while the one before is hashed,
// sealed and written.
type incoming struct {
	messages chan *pb.WriteRequest
	err      error // why there are no more; set before messages is closed
	idle     time.Duration
}

func receiveAhead(stream pb.DepositService_WriteServer, idle time.Duration) *incoming {
	in := &incoming{messages: make(chan *pb.WriteRequest, 1), idle: idle}
	go in.run(stream)
	return in
}

// run ends with the stream, which is when the call returns at the latest.
func (in *incoming) run(stream pb.DepositService_WriteServer) {
	defer close(in.messages)
	for {
		m, err := stream.Recv()
		if err != nil {
			in.err = err
			return
		}
		select {
		case in.messages <- m:
		case <-stream.Context().Done():
			in.err = context.Cause(stream.Context())
			return
		}
	}
}

// next returns the next message; io.EOF after the last.
func (in *incoming) next() (*pb.WriteRequest, error) {
	quiet := time.NewTimer(in.idle)
	defer quiet.Stop()
	select {
	case m, more := <-in.messages:
		if !more {
			return nil, in.err
		}
		return m, nil
	case <-quiet.C:
		stalled := &fault.Error{Kind: fault.Aborted, Reason: "UPLOAD_STALLED", Message: fmt.Sprintf("nothing has come for %s", in.idle)}
		return nil, stalled.WithAdvice("ask QueryWriteStatus, and send from the offset that it tells")
	}
}
