// Package fetch brings the files of a release into a folder here: checked against their digests, under their names only when
// they are whole, and on again where an earlier run or connection broke off. It knows nothing of who may read a release.
package fetch

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/countersign-escrow/countersign/escrow/digest"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	pb "github.com/countersign-escrow/countersign/proto/countersign/v1"
)

// Service is what is needed of an evaluation service. Its errors are domain errors.
type Service interface {
	ReadBlob(context.Context, *pb.ReadBlobRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadBlobResponse], error)
}

// Progress is told how it goes. It is called from several goroutines at once.
type Progress interface {
	Plan(files int, bytes int64) // what is wanted
	Sent(bytes int64)            // more has arrived, or, negative, has to come again
	Resumed(bytes int64)         // this much was here already
	Note(line string)            // something for people
}

// File is a file of the release and where it goes.
type File struct {
	Path   string        `json:"path"` // below the folder, slash-separated, clean
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes
}

// Fetcher brings files of one release into one folder.
type Fetcher struct {
	Service  Service
	Release  resource.Release
	Folder   *os.Root
	Parallel int // files at a time; 4 if 0
	Progress Progress
	Retry    time.Duration // the first pause before another attempt; 200 ms if 0
	Patience time.Duration // how long a file may make no headway before it is given up; 2 minutes if 0
}

// Summary says what a run came to.
type Summary struct {
	Files     int   `json:"files"`        // asked for
	Held      int   `json:"held"`         // of them, here before
	HeldBytes int64 `json:"heldBytes"`    // of files that were here before
	Resumed   int64 `json:"resumedBytes"` // here before, of files that were not whole
	Fetched   int64 `json:"fetchedBytes"` // that came now
}

func (s *Summary) add(r result) {
	if r.held {
		s.Held++
		s.HeldBytes += r.resumed
	} else {
		s.Resumed += r.resumed
	}
	s.Fetched += r.fetched
}

// Fetch returns when every file is here, whole and durable. Paths must differ. A file that is here already under its name
// is checked and kept; one with other content is never replaced.
func (f *Fetcher) Fetch(ctx context.Context, files []File) (Summary, error) {
	sum := Summary{Files: len(files)}
	f.Progress.Plan(len(files), total(files))
	partial := partials(files)
	results := make([]result, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(orDefault(f.Parallel, 4))
	for i, file := range files {
		group.Go(func() error {
			var err error
			results[i], err = f.fetch(ctx, file, partial[i])
			return err
		})
	}
	err := group.Wait()
	for _, r := range results {
		sum.add(r)
	}
	return sum, err
}

func total(files []File) (n int64) {
	for _, f := range files {
		n += f.Size
	}
	return n
}

// partials names the unfinished file of each: NAME.partial, and longer where the release has a file of that name itself.
func partials(files []File) []string {
	taken := make(map[string]bool, len(files))
	for _, f := range files {
		taken[strings.ToLower(f.Path)] = true
	}
	names := make([]string, len(files))
	for i, f := range files {
		name := base(f.Path) + partialSuffix
		for taken[strings.ToLower(parent(f.Path)+name)] {
			name += partialSuffix
		}
		taken[strings.ToLower(parent(f.Path)+name)] = true
		names[i] = name
	}
	return names
}

const partialSuffix = ".partial"

func orDefault[T comparable](v, otherwise T) T {
	var none T
	if v == none {
		return otherwise
	}
	return v
}

// The defaults of Retry and Patience, and the longest pause between two attempts.
const (
	firstPause = 200 * time.Millisecond
	mostPause  = 5 * time.Second
	patience   = 2 * time.Minute
)

// Patiently calls attempt until it succeeds, fails for good, or has made no headway for too long. Headway tells how far it
// has come.
func (f *Fetcher) Patiently(ctx context.Context, what string, headway func() int64, attempt func() error) error {
	first, most := orDefault(f.Retry, firstPause), orDefault(f.Patience, patience)
	for pause, since := first, time.Now(); ; pause = min(2*pause, mostPause) {
		before := headway()
		err := attempt()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if headway() > before {
			pause, since = first, time.Now()
		}
		if time.Since(since) > most {
			return (&fault.Error{Kind: fault.Unavailable, Reason: "UNAVAILABLE", Message: "gave up after " + most.String() + " without headway", Err: err}).
				WithAdvice("run the same command again: it goes on where this one ended")
		}
		f.Progress.Note("RETRY " + what + ": " + err.Error())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// passing says whether an error may be gone at the next attempt.
func passing(err error) bool { return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) }
