package instance

import (
	"context"
	"errors"

	"github.com/countersign-escrow/countersign/escrow/blob/s3"
	"github.com/countersign-escrow/countersign/services/internal/config"
)

// CreateBucket makes the bucket that a configuration names, with object lock, and returns its name. One that is there
// already is only looked at.
func CreateBucket(ctx context.Context, c *config.Config) (name string, err error) {
	if c.Objects.S3 == nil {
		return "", errors.New("objects: are in a folder, so that there is no bucket to make")
	}
	cfg, err := s3Config(c.Objects.S3)
	if err != nil {
		return "", err
	}
	_, err = s3.CreateBucket(ctx, cfg)
	return cfg.Bucket, err
}
