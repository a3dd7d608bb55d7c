package cmstest

import (
	"crypto"
	"encoding/asn1"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	rfc3161 "github.com/digitorus/timestamp"
)

// anyPolicy claims no particular time-stamping policy (RFC 5280).
var anyPolicy = asn1.ObjectIdentifier{2, 5, 29, 32, 0}

// Token makes an RFC 3161 time stamp over data.
func (h *Holder) Token(t testing.TB, data []byte, at time.Time) []byte {
	t.Helper()
	sum := crypto.SHA256.New()
	sum.Write(data)
	response, err := h.respond(&rfc3161.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum.Sum(nil)}, at)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := rfc3161.ParseResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	return stamp.RawToken
}

// Serve runs a time-stamping authority on loopback until the test ends, whose clock stands still.
func (h *Holder) Serve(t testing.TB, at time.Time) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err != nil {
			return
		}
		request, err := rfc3161.ParseRequest(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response, err := h.respond(request, at)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(response)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (h *Holder) respond(r *rfc3161.Request, at time.Time) ([]byte, error) {
	stamp := rfc3161.Timestamp{HashAlgorithm: r.HashAlgorithm, HashedMessage: r.HashedMessage, Time: at.UTC().Truncate(time.Second),
		Nonce: r.Nonce, Policy: anyPolicy, Accuracy: time.Second, AddTSACertificate: true}
	return stamp.CreateResponseWithOpts(h.Certificate, h.Key, crypto.SHA256)
}
