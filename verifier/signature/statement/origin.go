package statement

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/countersign-escrow/countersign/verifier/signature/gitobject"
)

// origin compares where a statement says that the files come from with the release: nothing may differ, and something must agree
// unless nothing is said.
func (m *matching) origin() (problem string) {
	agreed := false
	for _, s := range m.matched {
		version, ok := packageVersion(s.Name)
		if ok && version != m.r.Version && version != "v"+m.r.Version {
			return fmt.Sprintf("it is about %.200q, and the release is the version %.100q of %.200s", s.Name, m.r.Version, m.r.Product)
		}
		agreed = agreed || ok
	}
	for _, r := range m.s.sources {
		ok, problem := m.source(r)
		if problem != "" {
			return problem
		}
		agreed = agreed || ok
	}
	switch {
	case len(m.s.sources) == 0:
		m.notef("names no source: it is about these bytes, whatever they were made from")
	case !agreed:
		return fmt.Sprintf("it names %v as the source, and nothing in the release can confirm it: deposit the git source", m.s.sources[0])
	}
	return ""
}

// source compares one reference: with the git sources, where there are any, and else its tag with the version.
func (m *matching) source(r reference) (agreed bool, problem string) {
	if len(m.r.Git) == 0 {
		return m.tagAndVersion(r)
	}
	left := m.r.Git
	if r.commit != "" {
		left = those(left, func(s gitobject.Source) bool { return s.CommitID == r.commit })
		if agreed = len(left) > 0; !agreed {
			return false, fmt.Sprintf("it names the commit %s as the source (%s), and the release has %s", r.commit, r.at, m.git())
		}
	}
	if tag, ok := r.tag(); ok {
		if agreed = len(those(left, func(s gitobject.Source) bool { return s.Ref == tag })) > 0; !agreed {
			return false, fmt.Sprintf("it names the tag %.200q as the source (%s), and the release has %s", tag, r.at, m.git())
		}
	}
	return agreed, ""
}

func (m *matching) tagAndVersion(r reference) (agreed bool, problem string) {
	if r.commit != "" {
		m.notef("names the commit %s (%s), which cannot be compared: the release has no git source", r.commit, r.at)
	}
	tag, ok := r.tag()
	switch {
	case !ok:
		return false, ""
	case !tagOf(tag, m.r.Version):
		return false, fmt.Sprintf("it names the tag %.200q as the source (%s), and the release is the version %.100q of %.200s", tag, r.at, m.r.Version, m.r.Product)
	}
	return true, ""
}

// git lists the git sources for people.
func (m *matching) git() string {
	var all []string
	for _, s := range m.r.Git[:min(len(m.r.Git), 4)] {
		all = append(all, fmt.Sprintf("%s of the tag %.100q", s.CommitID, s.Ref))
	}
	return strings.Join(all, ", ")
}

func those(all []gitobject.Source, good func(gitobject.Source) bool) (out []gitobject.Source) {
	for _, s := range all {
		if good(s) {
			out = append(out, s)
		}
	}
	return out
}

// tagOf says whether a tag is called after a version: 1.2.3, v1.2.3, name-1.2.3, name@1.2.3, path/v1.2.3. What stands before it must be no
// version: 2.0-1 is not called after 1.
func tagOf(tag, version string) bool {
	before, ok := strings.CutSuffix(tag, version)
	if !ok || version == "" {
		return false
	}
	before = strings.TrimSuffix(before, "v")
	if before == "" {
		return true
	}
	const ends = "-@_/"
	for _, part := range strings.FieldsFunc(before, func(r rune) bool { return strings.ContainsRune(ends, r) }) {
		if likeVersion.MatchString(part) {
			return false
		}
	}
	return strings.ContainsRune(ends, rune(before[len(before)-1]))
}

// likeVersion is a part of a tag that reads as a version.
var likeVersion = regexp.MustCompile(`^v?[0-9]+(\.[0-9]|$)`)

// isPackage says whether a subject's name is a package URL.
func isPackage(name string) bool { return strings.HasPrefix(name, "pkg:") }

// packageVersion returns the version in a package URL. That of an image may be its digest, which is none.
func packageVersion(name string) (string, bool) {
	if !isPackage(name) {
		return "", false
	}
	name, _, _ = strings.Cut(name, "#")
	name, _, _ = strings.Cut(name, "?")
	name = name[strings.LastIndexByte(name, '/')+1:]
	_, version, ok := strings.Cut(name, "@")
	plain, err := url.PathUnescape(version)
	if err != nil {
		plain = version
	}
	return plain, ok && !strings.HasPrefix(plain, "sha256:")
}
