package gitpack

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

const shardCount = 64

// registry finds objects by their ids, and remembers which ids are referred to before the object is known. Any number of goroutines may
// use it. Its hash is keyed: whoever chooses ids cannot make it slow.
type registry struct {
	x      *index
	seed   maphash.Seed
	shards [shardCount]shard
	most   int // ids that may be referred to without being known, in each shard: twice what there can be on average
}

// shard is an open hash table. A slot is 0 if it is free, 1+2n for object n, and 2+2n for wanted[n].
type shard struct {
	mu     sync.Mutex
	slots  []uint32
	used   int
	wanted []wanted
	free   []uint32 // of wanted
}

// wanted is an id that objects refer to and that is not known yet.
type wanted struct {
	id   ID
	by   uint32 // who refers to it
	kind code   // what it is to be
}

// newRegistry returns a registry for an index of a pack with bases that have so many objects.
func newRegistry(x *index, inBases int) *registry {
	g := &registry{x: x, seed: maphash.MakeSeed(), most: 2*(x.count()+inBases)/shardCount + 1024}
	size := 1 << bits.Len(uint(max(64, x.count()*3/2)/shardCount))
	for i := range g.shards {
		g.shards[i].slots = make([]uint32, size)
	}
	return g
}

func (g *registry) hash(id *ID) (*shard, uint64) {
	h := maphash.Bytes(g.seed, id[:])
	return &g.shards[h%shardCount], h / shardCount
}

// slot returns where id is or would be.
func (g *registry) slot(s *shard, id *ID, h uint64) *uint32 {
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		v := s.slots[i]
		if v == 0 || *g.idIn(s, v) == *id {
			return &s.slots[i]
		}
	}
}

func (g *registry) idIn(s *shard, v uint32) *ID {
	if v&1 == 1 {
		return &g.x.id[v/2]
	}
	return &s.wanted[v/2-1].id
}

// grow doubles the table when it is three quarters full.
func (g *registry) grow(s *shard) {
	if s.used++; s.used*4 < len(s.slots)*3 {
		return
	}
	old := s.slots
	s.slots = make([]uint32, 2*len(old))
	for _, v := range old {
		if v != 0 {
			id := g.idIn(s, v)
			_, h := g.hash(id)
			*g.slot(s, id, h) = v
		}
	}
}

// add makes an object known, whose id and kind are in the index.
func (g *registry) add(obj uint32) error {
	id := &g.x.id[obj]
	s, h := g.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := g.slot(s, id, h)
	switch {
	case *v == 0:
		*v = 1 + 2*obj
		g.grow(s)
	case *v&1 == 0:
		w := *v/2 - 1
		*v = 1 + 2*obj
		s.free = append(s.free, w)
		return g.compare(s.wanted[w], obj)
	}
	return nil // one like it is known: the same bytes, or the hash would have told
}

// want says that an object refers to one of that id and kind.
func (g *registry) want(id *ID, kind code, by uint32) error {
	s, h := g.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := g.slot(s, id, h)
	switch {
	case *v == 0:
		if len(s.wanted)-len(s.free) > g.most {
			return nil // more than there can be: that some are missing is certain, and those here will tell
		}
		*v = 2 + 2*s.keep(wanted{id: *id, by: by, kind: kind})
		g.grow(s)
	case *v&1 == 1:
		return g.compare(wanted{id: *id, by: by, kind: kind}, *v/2)
	case s.wanted[*v/2-1].kind != kind:
		return fault.Invalidf(g.x.place(by), "refers to object %s as a %s, which another one has as a %s", id, kinds[kind], kinds[s.wanted[*v/2-1].kind])
	}
	return nil
}

func (s *shard) keep(w wanted) uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.wanted[i] = w
		return i
	}
	s.wanted = append(s.wanted, w)
	return uint32(len(s.wanted) - 1)
}

// compare says whether an object is what was wanted.
func (g *registry) compare(w wanted, obj uint32) error {
	return g.x.wrongKind(w, g.x.kind[obj])
}

func (x *index) wrongKind(w wanted, is code) error {
	if is != w.kind {
		return fault.Invalidf(x.place(w.by), "refers to object %s as a %s, which is a %s", w.id, kinds[w.kind], kinds[is])
	}
	return nil
}

// find returns the object with that id.
func (g *registry) find(id *ID) (uint32, bool) {
	s, h := g.hash(id)
	v := *g.slot(s, id, h)
	return v / 2, v&1 == 1
}

// unmet calls each with what is referred to and was not found. Nobody else may use the registry meanwhile.
func (g *registry) unmet(each func(wanted) error) error {
	for i := range g.shards {
		s := &g.shards[i]
		for _, v := range s.slots {
			if v == 0 || v&1 == 1 {
				continue
			}
			if err := each(s.wanted[v/2-1]); err != nil {
				return err
			}
		}
	}
	return nil
}
