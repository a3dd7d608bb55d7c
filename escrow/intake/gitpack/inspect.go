package gitpack

import (
	"errors"
	"sync/atomic"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitpack/inflate"
)

// inspector computes the ids of whole objects, makes them known, and checks their form and what they refer to. Each goroutine has its own.
type inspector struct {
	x      *index
	reg    *registry
	hash   *hasher
	total  *atomic.Int64 // bytes of all objects so far
	most   int64         // of them
	obj    uint32        // the one at hand
	refer  refer
	recent []reminder
}

// reminder is an id that was asked for not long ago: the trees of successive commits refer to almost the same.
type reminder struct {
	id   ID
	kind code
}

const recentIDs = 1 << 14

func newInspector(x *index, reg *registry, total *atomic.Int64, most int64) *inspector {
	v := &inspector{x: x, reg: reg, hash: newHasher(), total: total, most: most, recent: make([]reminder, recentIDs)}
	v.refer = v.want
	return v
}

// slab inspects the objects in a slab. Of deltas it checks only that they were inflated to what they should be.
func (v *inspector) slab(s *slab) error {
	for _, it := range s.items {
		content := s.buf[it.begin : it.begin+int(v.x.size[it.obj])]
		if err := inflate.Check(content, it.adler); err != nil {
			return undecodable(v.x.place(it.obj), err)
		}
		if v.x.stored[it.obj].delta() {
			continue
		}
		if err := v.object(it.obj, v.x.kind[it.obj], content); err != nil {
			return err
		}
	}
	return nil
}

// object inspects one object, whole.
func (v *inspector) object(obj uint32, kind code, content []byte) error {
	id, ok := v.hash.sum(kind, content)
	if !ok {
		return collision(v.x.place(obj))
	}
	v.x.id[obj] = id
	if err := v.known(obj, kind, int64(len(content))); err != nil {
		return err
	}
	v.obj = obj
	err := checkForm(kind, content, v.refer)
	var form malformed
	if errors.As(err, &form) {
		return fault.Invalidf(v.x.place(obj), "the %s %s %s", kinds[kind], id, form)
	}
	return err
}

// known makes an object known whose id is in the index.
func (v *inspector) known(obj uint32, kind code, size int64) error {
	v.x.kind[obj] = kind
	if v.total.Add(size) > v.most {
		return fault.Exhaustedf(v.x.place(obj), "the objects, deltas resolved, have more than %d bytes", v.most)
	}
	return v.reg.add(obj)
}

func (v *inspector) want(id *ID, kind code) error {
	r := &v.recent[(uint(id[0])|uint(id[1])<<8)%recentIDs]
	if r.kind == kind && r.id == *id {
		return nil
	}
	*r = reminder{*id, kind}
	return v.reg.want(id, kind, v.obj)
}

func collision(at string) error {
	return fault.Invalidf(at, "is made to have the same SHA-1 id as another object")
}
