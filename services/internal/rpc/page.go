package rpc

import (
	"encoding/base64"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// The sizes of a page.
const (
	DefaultPage = 100
	LargestPage = 1000
)

const (
	pageTokenForm = "1:" // a later form can be told from this one
	longestToken  = 2048
)

// Page reads a request's page_size and page_token: how many to return, and after which key to start ("" at the start).
func Page(size int32, token string) (limit int, after string, err error) {
	switch {
	case size < 0:
		return 0, "", fault.Invalidf("page_size", "must not be negative, is %d", size)
	case size == 0:
		limit = DefaultPage
	default:
		limit = min(int(size), LargestPage)
	}
	after, err = parsePageToken(token)
	return limit, after, err
}

// NextPage makes the next_page_token of a page whose last key is after.
func NextPage(after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenForm + after))
}

// Cut takes a list that was read with one more than limit, and returns the page and its next_page_token.
func Cut[T any](list []T, limit int, key func(T) string) (page []T, next string) {
	if len(list) <= limit {
		return list, ""
	}
	page = list[:limit]
	return page, NextPage(key(page[limit-1]))
}

// Fitting returns how many records at the head of a list go into a page that has so many at most, and so many bytes: one at least.
func Fitting[T any](list []T, limit int, bytes func(*T) int, most int) int {
	sum := 0
	for i := range list[:min(limit, len(list))] {
		if sum += bytes(&list[i]); sum > most && i > 0 {
			return i
		}
	}
	return limit
}

func parsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	bad := fault.Invalidf("page_token", "is not a token that this service gave").
		WithAdvice("use the next_page_token of the page before, unchanged, or leave it empty")
	if len(token) > longestToken {
		return "", bad
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < len(pageTokenForm) || string(b[:len(pageTokenForm)]) != pageTokenForm {
		return "", bad
	}
	return string(b[len(pageTokenForm):]), nil
}
