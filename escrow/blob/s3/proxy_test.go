package s3

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-escrow/countersign/escrow/blob/s3/miniotest"
)

// proxy stands before a server and loses answers.
type proxy struct {
	*httptest.Server

	mu   sync.Mutex
	lose func(*http.Request) bool // the request is carried out, its answer is not sent
	lost int
}

// newProxy starts a proxy with TLS, and returns the configuration of a bucket behind it.
func newProxy(t *testing.T, srv *miniotest.Server) (*proxy, Config) {
	t.Helper()
	p := &proxy{}
	handler := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: srv.Endpoint})
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: p.answer,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewTLSServer(handler)
	t.Cleanup(p.Close)
	cfg := configOf(srv)
	cfg.Endpoint, cfg.PlainHTTPUnsafe = strings.TrimPrefix(p.URL, "https://"), false
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return p, cfg
}

// loseNext loses the answers to the next n requests that a function knows.
func (p *proxy) loseNext(n int, which func(*http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = 0
	p.lose = func(r *http.Request) bool { return p.lost < n && which(r) }
}

func (p *proxy) losses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *proxy) answer(res *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose != nil && p.lose(res.Request) {
		p.lost++
		return http.ErrAbortHandler
	}
	return nil
}
