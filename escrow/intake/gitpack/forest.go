package gitpack

// forest says which deltas are made from which object. Children lie in a list, the one with the most descendants apart: when it comes last,
// and its parent is dropped before its own children come, then the objects held at a time are no more than the logarithm of all.
type forest struct {
	heavy []uint32 // the child with the most descendants, or none
	next  []uint32 // the next child of the same parent; that of the heavy one is the first of the others
}

// newForest links all deltas whose bases are known by offset.
func newForest(base []uint32) *forest {
	descendants := make([]uint32, len(base))
	f := &forest{heavy: make([]uint32, len(base)), next: make([]uint32, len(base))}
	for i := len(base) - 1; i >= 0; i-- { // children are behind their parents
		f.heavy[i], f.next[i] = none, none
		if b := base[i]; b != none {
			descendants[b] += descendants[i] + 1
		}
	}
	for i := len(base) - 1; i >= 0; i-- {
		b, child := base[i], uint32(i)
		if b == none {
			continue
		}
		switch most := f.heavy[b]; {
		case most == none:
			f.heavy[b] = child
		case descendants[child] > descendants[most]:
			f.next[child], f.heavy[b] = most, child
		default:
			f.next[child], f.next[most] = f.next[most], child
		}
	}
	return f
}

// branch is an object whose descendants are being resolved.
type branch struct {
	obj    uint32 // none for an object of another pack
	kind   code
	depth  int
	whole  content
	light  uint32 // the next child to resolve that is not the heavy one
	heavy  uint32 // the last child to resolve
	refs   int    // children named by this object's id: from here
	refEnd int    // to here
}

// grow returns an object as a branch.
func (f *forest) grow(obj uint32, kind code, depth int, whole content) branch {
	b := branch{obj: obj, kind: kind, depth: depth, whole: whole, light: none, heavy: f.heavy[obj]}
	if b.heavy != none {
		b.light = f.next[b.heavy]
	}
	return b
}

// bare says whether there are no children left.
func (b *branch) bare() bool { return b.light == none && b.heavy == none && b.refs == b.refEnd }

// child takes the next child off the branch.
func (f *forest) child(b *branch, refs []reference) uint32 {
	switch {
	case b.refs < b.refEnd:
		b.refs++
		return refs[b.refs-1].obj
	case b.light != none:
		c := b.light
		b.light = f.next[c]
		return c
	default:
		c := b.heavy
		b.heavy = none
		return c
	}
}

// split takes about half of the children off the branch, for somebody else. It returns false where there are too few.
func (f *forest) split(b *branch) (branch, bool) {
	n := 0
	for c := b.light; c != none; c = f.next[c] {
		n++
	}
	if n < 2 {
		return branch{}, false
	}
	last := b.light
	for range n/2 - 1 {
		last = f.next[last]
	}
	other := *b
	other.light, other.refs = f.next[last], b.refEnd
	f.next[last], b.heavy = none, none
	return other, true
}
