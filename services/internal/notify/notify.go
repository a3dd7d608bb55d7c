// Package notify wakes those in this process who wait for something to change. It is a hint and no record: whoever is
// woken looks at the catalog, and looks there now and then without being woken.
package notify

import "sync"

// Hub joins those who change something with those who wait for it, by topic. The zero value is ready.
type Hub struct {
	mu     sync.Mutex
	topics map[string]chan struct{}
}

// New returns a hub.
func New() *Hub { return &Hub{} }

// Wait returns a channel that is closed at the topic's next Notify. Call it before looking at what is awaited, so that
// no change falls between. It costs nothing to drop the channel.
func (h *Hub) Wait(topic string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.topics[topic]
	if !ok {
		if h.topics == nil {
			h.topics = map[string]chan struct{}{}
		}
		c = make(chan struct{})
		h.topics[topic] = c
	}
	return c
}

// Notify wakes everybody who waits for the topic.
func (h *Hub) Notify(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.topics[topic]; ok {
		close(c)
		delete(h.topics, topic)
	}
}
