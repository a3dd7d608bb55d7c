package intake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/intake/gitbundle"
)

const adviceBases = "list the earlier bundles that hold it as bases, each after those that it needs itself, or bundle the full history"

// gitOpener opens a bundle after the bases whose objects it leaves out.
type gitOpener struct {
	ctx     context.Context
	scratch string
	lim     Limits
	options options
	packs   []*gitbundle.Pack
	packed  int64
	objects int64 // that the packs announce
}

// open returns the tree that the tag names. The packs are the tree's, or closed after an error.
func (g *gitOpener) open(file *source, bases []*source, tag string) (Tree, error) {
	t, err := g.tree(file, bases, tag)
	if err != nil {
		return nil, errors.Join(err, (&gitTree{packs: g.packs}).Close())
	}
	return t, nil
}

func (g *gitOpener) tree(file *source, bases []*source, tag string) (*gitTree, error) {
	if err := g.lim.check(); err != nil {
		return nil, err
	}
	for i, b := range bases {
		if _, err := g.bundle(b, nil); err != nil {
			return nil, inBase(i, err)
		}
	}
	id, err := g.bundle(file, &tag)
	if err != nil {
		return nil, err
	}
	t := &gitTree{src: file, packed: g.packed, lim: g.lim, opts: g.options, packs: g.packs}
	return t, t.resolve(g.ctx, id, tag)
}

// inBase says of an error that it lies in a base, counted from 1.
func inBase(i int, err error) error {
	at := fmt.Sprintf("base %d", i+1)
	var domain *fault.Error
	if !errors.As(err, &domain) {
		return fmt.Errorf("%s: %w", at, err)
	}
	named := *domain
	if named.Field = at; domain.Field != "" {
		named.Field += ": " + domain.Field
	}
	return &named
}

// bundle opens one bundle on top of those before it and returns what the tag refers to, if one is asked for.
func (g *gitOpener) bundle(file *source, tag *string) (id gitbundle.ID, err error) {
	h, err := gitbundle.ReadHeader(file.reader())
	if err != nil {
		return id, file.unreadable("bundle header", err)
	}
	if tag != nil {
		if id, err = h.Tag(*tag); err != nil {
			return id, err
		}
	}
	if err := g.prerequisites(h); err != nil {
		return id, err
	}
	lim, err := g.limits(file, h)
	if err != nil {
		return id, err
	}
	// Each bundle gets the one before it alone, which looks further back by itself: so an object is looked for once in each.
	before := g.packs[max(0, len(g.packs)-1):]
	pack, err := gitbundle.Open(g.ctx, io.NewSectionReader(file, h.Size, file.size-h.Size), file.size-h.Size, before, g.scratch, lim)
	if err != nil {
		return id, file.unreadable("pack", err)
	}
	g.packs = append(g.packs, pack)
	g.packed += file.size
	return id, nil
}

// prerequisites makes sure that the commits that a bundle builds on are in the ones before it.
func (g *gitOpener) prerequisites(h *gitbundle.Header) error {
	for _, id := range h.Prerequisites {
		kind, err := g.kind(id)
		if errors.Is(err, gitbundle.ErrMissing) {
			return gitbundle.Incompletef("bundle header", "the bundle builds on the commit %s, which it does not hold and no base before it does", id).
				WithAdvice(adviceBases)
		}
		if err != nil {
			return err
		}
		if kind != gitbundle.Commit {
			return fault.Invalidf("bundle header", "the bundle builds on %s, which is a %s and no commit", id, kind)
		}
	}
	return nil
}

// kind looks for an object in the packs that are open.
func (g *gitOpener) kind(id gitbundle.ID) (gitbundle.Kind, error) {
	if len(g.packs) == 0 {
		return "", gitbundle.ErrMissing
	}
	o, err := g.packs[len(g.packs)-1].Object(g.ctx, id)
	return o.Kind, err
}

// limits returns what is left of the limits for a bundle's pack, which announces its objects in bytes 8 to 12.
func (g *gitOpener) limits(file *source, h *gitbundle.Header) (gitbundle.Limits, error) {
	lim := gitbundle.Limits{MaxObjects: g.lim.MaxObjects - g.objects, MaxObjectBytes: g.lim.MaxObjectBytes, MaxInflated: g.lim.fromRatio(file.size)}
	var count [4]byte
	if err := readFull(file, count[:], h.Size+8); err == nil {
		g.objects += int64(binary.BigEndian.Uint32(count[:]))
	} else if file.failed != nil {
		return lim, file.failed
	}
	if lim.MaxObjects < 1 {
		return lim, fault.Exhaustedf("pack", "the bundle and its bases have more than %d objects together", g.lim.MaxObjects)
	}
	return lim, nil
}
