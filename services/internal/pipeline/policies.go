package pipeline

import (
	"fmt"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/verifier/policy"
)

// policies keeps compiled policies by the digest of their source.
type policies struct {
	mu       sync.Mutex
	compiled map[digest.Digest]*policy.Policy
}

const maxCompiled = 256

func (c *policies) compile(row *catalog.Policy) (*policy.Policy, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.compiled[row.Digest]; ok {
		return p, nil
	}
	p, err := policy.Compile([]byte(row.Source))
	if err != nil {
		return nil, fmt.Errorf("stored policy %d of %s: %w", row.Version, row.Organization, err)
	}
	if c.compiled == nil || len(c.compiled) >= maxCompiled {
		c.compiled = map[digest.Digest]*policy.Policy{}
	}
	c.compiled[row.Digest] = p
	return p, nil
}
