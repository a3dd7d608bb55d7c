package rpc

import (
	"context"

	"github.com/countersign-escrow/countersign/escrow/catalog"
)

// Paged is what every request for a list has (AIP-158).
type Paged interface {
	GetPageSize() int32
	GetPageToken() string
}

// Listing says how one kind of resource is listed.
type Listing[T, M any] struct {
	Read    func(tx *catalog.Tx, after string, limit int) ([]T, error) // those after a key, in order, limit at most
	Key     func(*T) string                                            // what the next page goes on after
	Message func(*T) M

	// Of records that may be large: how many bytes each has, and how many a page has at most. A page has one record at least.
	Bytes     func(*T) int
	MostBytes int
}

// List reads the page that r asks for, and makes the token for the next.
func List[T, M any](ctx context.Context, c *catalog.Catalog, r Paged, l Listing[T, M]) (messages []M, next string, err error) {
	limit, after, err := Page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, "", err
	}
	var list []T
	err = c.View(ctx, func(tx *catalog.Tx) error {
		list, err = l.Read(tx, after, limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if l.Bytes != nil {
		limit = Fitting(list, limit, l.Bytes, l.MostBytes)
	}
	page, next := Cut(list, limit, func(t T) string { return l.Key(&t) })
	for i := range page {
		messages = append(messages, l.Message(&page[i]))
	}
	return messages, next, nil
}
