package seal

import (
	"context"
	"errors"
	"hash"
	"sync"
	"time"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
)

const (
	blockBytes = 1 << 20 // what goes through the pipeline at once
	blocks     = 4       // that are on their way at most

	// saveWithin bounds how long a checkpoint may take. It is not to end with the call that brought the bytes: a client
	// that is cut off is the very reason to have checkpoints.
	saveWithin = time.Minute
)

// pipeline hashes what is written in one goroutine and seals and stores it in another, while more arrives.
type pipeline struct {
	header
	hash   hash.Hash
	cipher chunkCipher
	notes  chunkCipher
	draft  object.Draft

	// Of the sealing goroutine; after a barrier of the uploading one.
	index    int64  // of the next chunk
	tail     []byte // plaintext that fills no chunk yet
	text     []byte // sealed chunks on their way to the draft
	finished bool   // the last chunk is written

	free     chan []byte // buffers for blocks
	made     int         // how many buffers there are
	toHash   chan step
	toSeal   chan step
	sealing  sync.WaitGroup
	mu       sync.Mutex
	failure  error
	blockLen int
}

// step is one block on its way.
type step struct {
	data   []byte
	save   bool   // make a checkpoint behind it
	offset int64  // of the plaintext behind it
	state  []byte // of the hash behind it, if it is to be saved
	done   chan struct{}
}

// start begins to work.
func (p *pipeline) start() {
	p.blockLen = int(min(blockBytes, max(p.size, 1)))
	p.text = make([]byte, 0, chunks(int64(p.blockLen)+chunkBytes-1)*(chunkBytes+moreBytes))
	p.free = make(chan []byte, blocks)
	p.toHash, p.toSeal = make(chan step, blocks), make(chan step, blocks)
	go p.hashing()
	p.sealing.Go(p.storing)
}

// stop waits until all is through.
func (p *pipeline) stop() {
	close(p.toHash)
	p.sealing.Wait()
}

// buffer returns an empty buffer, and waits for one if enough are on their way.
func (p *pipeline) buffer() []byte {
	select {
	case b := <-p.free:
		return b[:0]
	default:
	}
	if p.made < blocks {
		p.made++
		return make([]byte, 0, p.blockLen)
	}
	return (<-p.free)[:0]
}

// push sends a block on its way.
func (p *pipeline) push(s step) { p.toHash <- s }

// barrier sends the last block on its way and waits until all is through. The pipeline rests then.
func (p *pipeline) barrier(data []byte, offset int64) error {
	s := step{data: data, offset: offset, done: make(chan struct{})}
	p.push(s)
	<-s.done
	return p.err()
}

func (p *pipeline) hashing() {
	defer close(p.toSeal)
	for s := range p.toHash {
		p.hash.Write(s.data)
		if s.save {
			var err error
			if s.state, err = stateOf(p.hash); err != nil {
				p.fail(err)
			}
		}
		p.toSeal <- s
	}
}

func (p *pipeline) storing() {
	for s := range p.toSeal {
		if p.err() == nil {
			p.fail(p.store(s))
		}
		if s.data != nil {
			p.free <- s.data
		}
		if s.done != nil {
			close(s.done)
		}
	}
}

func (p *pipeline) store(s step) error {
	if err := p.write(s.data); err != nil {
		return err
	}
	if s.save {
		return p.save(s.offset, s.state)
	}
	return nil
}

// write seals the chunks that data fills.
func (p *pipeline) write(data []byte) error {
	p.text = p.text[:0]
	if len(p.tail) > 0 {
		n := min(chunkBytes-len(p.tail), len(data))
		p.tail, data = append(p.tail, data[:n]...), data[n:]
		if len(p.tail) == chunkBytes {
			p.add(p.tail)
			p.tail = p.tail[:0]
		}
	}
	for ; len(data) >= chunkBytes; data = data[chunkBytes:] {
		p.add(data[:chunkBytes])
	}
	p.tail = append(p.tail, data...)
	return p.flush()
}

// finish seals what is left: the last chunk, unless the plaintext ends with a full one.
func (p *pipeline) finish() error {
	if p.finished {
		return nil
	}
	p.text = p.text[:0]
	if len(p.tail) > 0 || p.size == 0 {
		p.add(p.tail)
	}
	if err := p.flush(); err != nil {
		p.fail(err)
		return err
	}
	p.tail, p.finished = nil, true
	return nil
}

func (p *pipeline) add(chunk []byte) {
	p.text = p.cipher.seal(p.text, chunk, p.index)
	p.index++
}

func (p *pipeline) flush() error {
	if len(p.text) == 0 {
		return nil
	}
	_, err := p.draft.Write(p.text)
	return err
}

// save makes a checkpoint at an offset, where the hash has that state.
func (p *pipeline) save(offset int64, state []byte) error {
	n := note{header: p.header, finished: p.finished, offset: offset, state: state, tail: p.tail}
	ctx, cancel := context.WithTimeout(context.Background(), saveWithin)
	defer cancel()
	return p.draft.Save(ctx, p.notes.seal(nil, n.encode(), 0))
}

// err returns the first failure. After one, nothing more is stored.
func (p *pipeline) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

func (p *pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = errors.Join(p.failure, err)
}
