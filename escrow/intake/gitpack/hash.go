package gitpack

import (
	"strconv"

	"github.com/pjbgf/sha1cd"
)

// hasher computes object ids. Every block goes through the detection of collisions.
type hasher struct {
	h   sha1cd.CollisionResistantHash
	buf []byte
}

func newHasher() *hasher {
	return &hasher{h: sha1cd.New().(sha1cd.CollisionResistantHash), buf: make([]byte, 0, 64)}
}

// begin starts an object.
func (h *hasher) begin(c code, size int64) {
	h.h.Reset()
	h.buf = append(append(h.buf[:0], kinds[c]...), ' ')
	h.buf = append(strconv.AppendInt(h.buf, size, 10), 0)
	h.h.Write(h.buf)
}

// Write adds content.
func (h *hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// end returns the id. An object that was made for a collision has none.
func (h *hasher) end(at string) (id ID, err error) {
	sum, attack := h.h.CollisionResistantSum(h.buf[:0])
	if attack {
		return id, collision(at)
	}
	return ID(sum), nil
}

// sum returns the id of an object that lies in memory.
func (h *hasher) sum(c code, content []byte) (ID, bool) {
	h.begin(c, int64(len(content)))
	h.h.Write(content)
	sum, attack := h.h.CollisionResistantSum(h.buf[:0])
	return ID(sum), !attack
}
