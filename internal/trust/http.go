package trust

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/verify/trust"
)

// Mount serves what is published: /trust/root, /trust/bundle, /trust/head,
// /trust/genuine/{hash}, /status/snapshot, /status/delta/{from}-{to}, and for
// wallets and checks online /status/lists, /status/lists/{no} and /status/keys. Each has the hash of its bytes for an ETag, and may be kept
// but must be asked for again, which costs an unchanged one no more than a 304.
// Before the first publication they are answered with kind Unavailable.
func (p *Publisher) Mount(mux *http.ServeMux) {
	p.mountGenuine(mux)
	mux.Handle("GET /status/delta/{range}", web.Handler(p.getDelta, p.o.Logger))
	mux.Handle("GET /status/lists", web.Handler(p.getLists, p.o.Logger))
	mux.Handle("GET /status/lists/{no}", web.Handler(p.getList, p.o.Logger))
	mux.Handle("GET /status/keys", web.Handler(p.getStatusKeys, p.o.Logger))
	mux.Handle("GET /trust/root", web.Handler(func(w http.ResponseWriter, r *http.Request) error {
		root := p.root.Load()
		serve(w, r, &object{body: root.file, hash: trust.Hash(root.file), issued: root.IssuedAt})
		return nil
	}, p.o.Logger))
	for path, k := range map[string]kind{
		"/trust/bundle": kindBundle, "/trust/head": kindHead, "/status/snapshot": kindSnapshot,
	} {
		mux.Handle("GET "+path, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			o, err := p.find(r.Context(), k)
			if err != nil {
				return err
			}
			serve(w, r, o)
			return nil
		}, p.o.Logger))
	}
}

// find returns the current object from memory, or from the database where
// nothing was loaded yet.
func (p *Publisher) find(ctx context.Context, k kind) (*object, error) {
	if o := p.current[k].Load(); o != nil {
		return o, nil
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	if o := p.current[k].Load(); o != nil {
		return o, nil
	}
	return nil, fault.New(fault.Unavailable, "the "+string(k)+" is not published yet")
}

func serve(w http.ResponseWriter, r *http.Request, o *object) { serveAs(w, r, o, "application/cbor") }

func serveAs(w http.ResponseWriter, r *http.Request, o *object, media string) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(o.hash[:])+`"`)
	http.ServeContent(w, r, "", time.Unix(o.issued, 0), bytes.NewReader(o.body))
}
