package notify

import (
	"testing"
	"time"
)

func TestNotifyWakesEveryWaiterOfItsTopic(t *testing.T) {
	h := New()
	a, b, other := h.Wait("x"), h.Wait("x"), h.Wait("y")
	h.Notify("x")
	for _, c := range []<-chan struct{}{a, b} {
		select {
		case <-c:
		case <-time.After(time.Second):
			t.Fatal("a waiter was not woken")
		}
	}
	select {
	case <-other:
		t.Fatal("a waiter of another topic was woken")
	case <-h.Wait("x"):
		t.Fatal("a waiter who came later was woken")
	default:
	}
}

func TestNotifyWithoutWaiters(t *testing.T) {
	var h Hub
	h.Notify("nobody")
	if len(h.topics) != 0 {
		t.Fatalf("%d topics are kept for nobody", len(h.topics))
	}
}
