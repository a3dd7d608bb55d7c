package gitpack

import (
	"slices"
	"sort"
)

const (
	headerSize  = 12
	trailerSize = 20
	none        = ^uint32(0) // in place of an object's number
)

// index holds what is known of every object, by its number: its place among the others in the pack. There are no pointers in it, so that
// it costs some 60 bytes for each object and nothing to the garbage collector.
type index struct {
	off    []int64  // where it begins; one more at the end
	size   []uint32 // as it is stored
	full   []uint32 // whole: of a delta, what it results in
	base   []uint32 // of a delta: the object it is made from, or none as long as that is known by its id only
	kind   []code   // of a delta only after it was resolved
	stored []code   // the type that the pack says
	id     []ID
	refs   []reference // deltas to objects named by their ids, sorted by these once all are known
}

// reference is a delta to an object that is named by its id.
type reference struct {
	base ID
	obj  uint32
}

func newIndex(count int) *index {
	return &index{
		off: make([]int64, count+1), size: make([]uint32, count), full: make([]uint32, count), base: make([]uint32, count),
		kind: make([]code, count), stored: make([]code, count), id: make([]ID, count),
	}
}

func (x *index) count() int { return len(x.id) }

func (x *index) place(obj uint32) string { return place(x.off[obj]) }

// at returns the object that begins at off, among the first n.
func (x *index) at(off int64, n int) (uint32, bool) {
	i, ok := slices.BinarySearch(x.off[:n], off)
	return uint32(i), ok
}

func (x *index) sortRefs() {
	slices.SortFunc(x.refs, func(a, b reference) int { return slices.Compare(a.base[:], b.base[:]) })
}

// deltasTo returns the range of refs that are deltas to an object.
func (x *index) deltasTo(id ID) (from, to int) {
	from = sort.Search(len(x.refs), func(i int) bool { return slices.Compare(x.refs[i].base[:], id[:]) >= 0 })
	for to = from; to < len(x.refs) && x.refs[to].base == id; {
		to++
	}
	return from, to
}
