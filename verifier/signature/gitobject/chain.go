package gitobject

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pjbgf/sha1cd"
)

// chain is the way from a tag to a tree.
type chain struct{ s Source }

func newChain(s Source) chain { return chain{s} }

// tagProblem says where the way from the tag object to the deposited tree breaks. What it reads of the object stands in its first three
// lines, which every signature covers that the object can have.
func (c chain) tagProblem() string {
	if problem := checkID("tag", c.s.Tag, c.s.TagID); problem != "" {
		return problem
	}
	object, rest, first := field(c.s.Tag, "object")
	kind, rest, second := field(rest, "type")
	name, _, third := field(rest, "tag")
	switch {
	case !first || !second || !third || !isID(object):
		return "the tag object does not begin with object, type and tag"
	case kind != "commit":
		return fmt.Sprintf("the tag is for a %.20q, and not for a commit", kind)
	case name != c.s.Ref:
		return fmt.Sprintf("the tag object is that of another tag, %.200q, and not of %.200q", name, c.s.Ref)
	case object != c.s.CommitID:
		return fmt.Sprintf("the tag is for another commit, %s, than the one that was deposited, %.40q", object, c.s.CommitID)
	}
	return c.commitProblem()
}

// commitProblem says where the way from the commit object to the deposited tree breaks.
func (c chain) commitProblem() string {
	if problem := checkID("commit", c.s.Commit, c.s.CommitID); problem != "" {
		return problem
	}
	tree, _, ok := field(c.s.Commit, "tree")
	switch {
	case !ok || !isID(tree):
		return "the commit object does not begin with its tree"
	case tree != c.s.TreeID:
		return fmt.Sprintf("the commit is for another tree, %s, than the one that was deposited, %.40q", tree, c.s.TreeID)
	}
	return ""
}

func (c chain) tagScope() string {
	return fmt.Sprintf("the tag %.200s (%.40s) → commit %.40s → tree %.40s: what the source unpacks to, not the rest of the bundle",
		strings.ToValidUTF8(c.s.Ref, "?"), c.s.TagID, c.s.CommitID, c.s.TreeID)
}

func (c chain) commitScope() string {
	return fmt.Sprintf("the commit %.40s → tree %.40s: what the source unpacks to, not the name of a tag, nor the rest of the bundle",
		c.s.CommitID, c.s.TreeID)
}

// checkID makes sure that an object has the id that is said of it.
func checkID(kind string, content []byte, want string) string {
	if len(content) > maxObjectBytes {
		return fmt.Sprintf("the %s object has %d bytes, %d at most", kind, len(content), maxObjectBytes)
	}
	id, attack := sum([]byte(kind+" "+strconv.Itoa(len(content))+"\x00"), content)
	switch {
	case attack:
		return fmt.Sprintf("the %s object %.40q was made for a SHA-1 collision: sign another commit", kind, want)
	case id != want:
		return fmt.Sprintf("the %s object has the id %s, and not %.40q", kind, id, want)
	}
	return ""
}

// sum computes SHA-1 and says whether the content was made for a collision.
func sum(head, content []byte) (id string, attack bool) {
	h := sha1cd.New().(sha1cd.CollisionResistantHash)
	h.Write(head)
	h.Write(content)
	b, attack := h.CollisionResistantSum(nil)
	return hex.EncodeToString(b), attack
}

func isID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha1cd.Size && strings.ToLower(s) == s
}

// field reads "name value" off the first line, and returns what follows it.
func field(b []byte, name string) (value string, rest []byte, ok bool) {
	line, rest, end := bytes.Cut(b, []byte("\n"))
	v, ok := bytes.CutPrefix(line, []byte(name+" "))
	return string(v), rest, ok && end
}

// signedAt returns the time that a tag or commit gives in the field of who made it; zero if none can be read.
func signedAt(b []byte, who string) time.Time {
	head, _, _ := bytes.Cut(b, []byte("\n\n"))
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		person, ok := bytes.CutPrefix(line, []byte(who+" "))
		if !ok {
			continue
		}
		_, when, _ := strings.Cut(string(person), "> ")
		seconds, _, _ := strings.Cut(when, " ")
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || n <= 0 || n > 1<<37 {
			return time.Time{}
		}
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}
