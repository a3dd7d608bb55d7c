// Package web serves over HTTPS what everybody may have: the service's health, its keys, and the transparency log as
// C2SP tlog-tiles. It reads the log's folder and knows nothing of what the entries stand for.
package web

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"regexp"
)

// Config is what is served.
type Config struct {
	Healthy     func(context.Context) error // nil when the service works
	TrustedRoot []byte                      // trusted_root.json
	Statement   []byte                      // the statement key, PEM
	LogDir      string                      // the log's folder, laid out as tlog-tiles
}

// How long others may keep what they fetched. A full tile never changes; a partial one is replaced by another name.
const (
	keepForEver = "public, max-age=31536000, immutable"
	keepNothing = "no-store"
	keepAWhile  = "public, max-age=300"
)

// Handler serves c until done is called.
func Handler(c Config) (h http.Handler, done func() error, err error) {
	root, err := os.OpenRoot(c.LogDir)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", health(c.Healthy))
	mux.Handle("GET /trusted_root.json", fixed("application/json", c.TrustedRoot))
	mux.Handle("GET /statement.pub", fixed("application/x-pem-file", c.Statement))
	mux.Handle("GET /checkpoint", logFile(root.FS(), "text/plain; charset=utf-8", keepNothing))
	mux.Handle("GET /tile/", tiles(root.FS()))
	return secured(mux), root.Close, nil
}

func health(healthy func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", keepNothing)
		if healthy(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("not healthy\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

func fixed(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", keepAWhile)
		_, _ = w.Write(body) // the client has gone: nobody to tell
	})
}

// tilePath is what tlog-tiles allows: /tile/<L>/<N>[.p/<W>] and /tile/entries/<N>[.p/<W>], N in groups of three digits.
var tilePath = regexp.MustCompile(`^/tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/){0,6}[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?$`)

func tiles(log fs.FS) http.Handler {
	serve := logFile(log, "application/octet-stream", keepForEver)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !tilePath.MatchString(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		serve.ServeHTTP(w, r)
	})
}

func logFile(log fs.FS, contentType, keep string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[1:]
		info, err := fs.Stat(log, name)
		if err != nil || !info.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", keep)
		http.ServeFileFS(w, r, log, name)
	})
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		next.ServeHTTP(w, r)
	})
}
