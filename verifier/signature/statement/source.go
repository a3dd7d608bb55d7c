package statement

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is a source as a statement names it. Each part may be empty.
type reference struct {
	at         string // where in the statement
	repository string // its URL, without git+ and .git
	ref        string // such as refs/tags/v1.0, or a name that may be a tag's or a branch's
	commit     string // 40 hexadecimal digits
}

// String writes it for people.
func (r reference) String() string {
	s := fmt.Sprintf("%.200q", r.repository)
	if r.ref != "" {
		s += fmt.Sprintf(" at %.200q", r.ref)
	}
	if r.commit != "" {
		s += " (commit " + r.commit + ")"
	}
	return s
}

// tag returns the name of the tag that is referred to, if it is one for certain.
func (r reference) tag() (string, bool) { return strings.CutPrefix(r.ref, "refs/tags/") }

// The kinds of provenance that are read: https://slsa.dev/spec/v1.0/provenance, https://slsa.dev/spec/v0.2/provenance.
const (
	provenances  = "https://slsa.dev/provenance/"
	provenanceV1 = provenances + "v1"
	provenanceV2 = provenances + "v0.2"
)

// sources returns the source that a predicate names as that of the build: not its tools and dependencies. Other predicates than
// provenance name none.
func sources(predicateType string, p object) ([]reference, error) {
	switch {
	case predicateType == provenanceV1:
		build := p.object("buildDefinition")
		return withDependencies(parameters(build.object("externalParameters")), "resolvedDependencies", build.list("resolvedDependencies")), nil
	case predicateType == provenanceV2:
		var named []reference
		if c := p.object("invocation").object("configSource"); c != nil {
			named = append(named, resource("invocation.configSource", c))
		}
		return withDependencies(named, "materials", p.list("materials")), nil
	case strings.HasPrefix(predicateType, provenances):
		return nil, fmt.Errorf("predicateType: provenance of the form %.100q is not read: v0.2 and v1 are", predicateType)
	default:
		return nil, nil
	}
}

// parameters returns the sources among what a build was asked for with: the workflow's repository in the builds of GitHub, the
// configuration's in those of Google, source in those of others.
func parameters(p object) (named []reference) {
	for _, name := range []string{"workflow", "buildConfigSource"} {
		if o := p.object(name); o.text("repository") != "" || o.text("ref") != "" {
			named = append(named, reference{at: "externalParameters." + name, repository: repository(o.text("repository")), ref: o.text("ref")})
		}
	}
	if uri := p.text("source"); uri != "" {
		named = append(named, resource("externalParameters.source", object{"uri": uri}))
	}
	if o := p.object("source"); o != nil {
		named = append(named, resource("externalParameters.source", o))
	}
	return named
}

// withDependencies adds the dependencies that are the named source; where none is named, the first that is in git.
func withDependencies(named []reference, at string, list []any) []reference {
	repositories := make(map[string]bool)
	for _, r := range named {
		if r.repository != "" {
			repositories[r.repository] = true
		}
	}
	all := named
	for i, v := range list {
		o, _ := v.(object)
		r := resource(fmt.Sprintf("%s %d", at, i+1), o)
		if repositories[r.repository] {
			all = append(all, r)
		} else if len(repositories) == 0 && inGit(o) {
			return append(all, r)
		}
	}
	return all
}

func inGit(o object) bool {
	return strings.HasPrefix(o.text("uri"), "git+") || o.object("digest").text("gitCommit") != ""
}

var (
	hexID   = regexp.MustCompile(`\A[0-9A-Fa-f]{40}\z`)
	anyRef  = regexp.MustCompile(`\A(.*?)@(refs/.*)\z`)
	lastRef = regexp.MustCompile(`\A(.*/[^/@]*)@([^/]*)\z`)
)

// resource reads a descriptor with uri and digest. The URI is that of SPDX: git+https://host/path@ref.
func resource(at string, o object) reference {
	uri, _, _ := strings.Cut(o.text("uri"), "#")
	r := reference{at: at, repository: repository(uri)}
	for _, form := range []*regexp.Regexp{anyRef, lastRef} {
		if m := form.FindStringSubmatch(uri); m != nil {
			r.repository, r.ref = repository(m[1]), m[2]
			break
		}
	}
	if hexID.MatchString(r.ref) {
		r.commit, r.ref = strings.ToLower(r.ref), ""
	}
	for _, name := range []string{"sha1", "gitCommit"} {
		if sum := o.object("digest").text(name); hexID.MatchString(sum) {
			r.commit = strings.ToLower(sum)
		}
	}
	return r
}

// repository writes a repository's URL in one way.
func repository(uri string) string {
	uri = strings.TrimPrefix(uri, "git+")
	return strings.TrimSuffix(strings.TrimRight(uri, "/"), ".git")
}
