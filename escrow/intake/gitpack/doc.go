// Package gitpack reads git packs that came from anywhere, within limits: it finds every object, resolves every delta, computes every id
// with detection of SHA-1 collisions, and checks that every commit, tree and tag is well-formed and that what it refers to is there. Then
// it gives single objects. It knows nothing of bundles, of references, or of what the objects are for.
//
// The format is that of gitformat-pack(5), version 2.
package gitpack
