package gitpack

import "container/list"

// cache keeps the contents that were used last.
type cache struct {
	most, held int
	byObj      map[uint32]*list.Element
	order      *list.List // of cached, the one used last first
}

type cached struct {
	obj uint32
	b   []byte
}

func newCache(most int) cache {
	return cache{most: most, byObj: make(map[uint32]*list.Element), order: list.New()}
}

func (c *cache) get(obj uint32) ([]byte, bool) {
	e, ok := c.byObj[obj]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).b, true
}

// put keeps a content, unless that would drive out most others.
func (c *cache) put(obj uint32, b []byte) {
	const overhead = 200
	if len(b) > c.most/4 {
		return
	}
	c.byObj[obj] = c.order.PushFront(cached{obj, b})
	for c.held += len(b) + overhead; c.held > c.most; {
		e := c.order.Back()
		old := c.order.Remove(e).(cached)
		delete(c.byObj, old.obj)
		c.held -= len(old.b) + overhead
	}
}
