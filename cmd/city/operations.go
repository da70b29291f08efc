package city

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// The kinds of what takes two officers, beside the officers' own.
const (
	OpRotate     = "key.rotate"
	OpCompromise = "key.compromise"
	OpRewrap     = "keyring.rewrap"
	OpLookup     = "lookup.rotate"
	OpRoot       = "root.apply"
	OpExport     = "log.export"
)

// operations are what one officer asks for and another approves.
func (c *City) operations() []approval.Operation {
	return []approval.Operation{c.opRotate(), c.opCompromise(), c.opRoot(), c.opRewrap(), c.opLookup(), c.opExport()}
}

// decode reads parameters strictly.
func decode(params jsontext.Value, v any) error {
	if err := json.Unmarshal(params, v, json.RejectUnknownMembers(true)); err != nil {
		return fault.Wrap(fault.Invalid, "the parameters are not those of this operation", err)
	}
	return nil
}

func line(zh, en, value string) approval.Line {
	return approval.Line{Label: web.Text{ZH: zh, EN: en}, Value: value}
}

// resolve makes the object that is approved.
func resolve(v any, show ...approval.Line) (jsontext.Value, []approval.Line, error) {
	b, err := json.Marshal(v)
	return b, show, err
}

type rotation struct {
	Purpose string `json:"purpose"`
	Owner   string `json:"owner"`
	From    string `json:"from,omitempty"` // key to put to rest; set by Check
	Hurry   bool   `json:"before_verifiers_know,omitzero"`
}

func (c *City) opRotate() approval.Operation {
	return approval.Operation{Kind: OpRotate, Title: web.Text{ZH: "轮换密钥", EN: "Rotate a key"},
		Check: func(ctx context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			var r rotation
			if err := decode(params, &r); err != nil {
				return nil, nil, err
			}
			if _, err := c.wayOf(r.Purpose); err != nil {
				return nil, nil, err
			}
			active, err := c.inUse(ctx, r.Purpose, r.Owner)
			if err != nil {
				return nil, nil, err
			}
			if active == nil {
				return nil, nil, fault.New(fault.Conflict, "there is no key in use for this purpose and owner")
			}
			if r.From != "" && r.From != active.ID {
				return nil, nil, fault.New(fault.Conflict, "the key named by from is not in use")
			}
			r.From = active.ID
			show := []approval.Line{line("用途", "Purpose", r.Purpose), line("所属", "Owner", r.Owner), line("停用的密钥", "Key to put to rest", r.From)}
			if r.Hurry {
				show = append(show, line("注意", "Mind", "before verifiers can know the next key"))
			}
			return resolve(r, show...)
		},
		Run: func(ctx context.Context, resolved jsontext.Value, by approval.Decision) error {
			var r rotation
			if err := decode(resolved, &r); err != nil {
				return err
			}
			_, err := c.Rotate(ctx, r.Purpose, r.Owner, r.From, by.Actor(), r.Hurry)
			return err
		}}
}

type theft struct {
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
}

type resolvedTheft struct {
	Key     string `json:"key"`
	Purpose string `json:"purpose"`
	Owner   string `json:"owner"`
	Since   int64  `json:"since"` // seconds
}

func (c *City) opCompromise() approval.Operation {
	return approval.Operation{Kind: OpCompromise, Title: web.Text{ZH: "标记密钥已泄露", EN: "Mark a key compromised"},
		Check: func(ctx context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			var p theft
			if err := decode(params, &p); err != nil {
				return nil, nil, err
			}
			k, err := c.Ring.Find(ctx, p.Key)
			if err != nil {
				return nil, nil, err
			}
			switch {
			case k.State == keys.Retired:
				return nil, nil, fault.New(fault.Conflict, "this key is retired: its private half is destroyed")
			case p.Since.IsZero() || p.Since.After(c.now()) || p.Since.Before(k.Created.Truncate(time.Second)):
				return nil, nil, fault.New(fault.Invalid, "the time of the theft must lie between the key's making and now")
			}
			at := p.Since.Truncate(time.Second)
			return resolve(resolvedTheft{k.ID, k.Purpose, k.Owner, at.Unix()}, line("密钥", "Key", k.ID), line("用途", "Purpose", k.Purpose),
				line("所属", "Owner", k.Owner), line("自此时起不再可信", "Not believed since", at.UTC().Format(time.RFC3339)))
		},
		Run: func(ctx context.Context, resolved jsontext.Value, by approval.Decision) error {
			var r resolvedTheft
			if err := decode(resolved, &r); err != nil {
				return err
			}
			_, err := c.Compromise(ctx, r.Key, time.Unix(r.Since, 0), by.Actor(), "request "+by.Request)
			return err
		}}
}

type rootResponse struct {
	Response []byte `json:"response"`
}

type resolvedRoot struct {
	Act      string `json:"act"`
	SHA256   string `json:"sha256"`
	Response []byte `json:"response"`
}

func (c *City) opRoot() approval.Operation {
	return approval.Operation{Kind: OpRoot, Title: web.Text{ZH: "采用根的签署结果", EN: "Apply the root's response"},
		Check: func(ctx context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			var p rootResponse
			if err := decode(params, &p); err != nil {
				return nil, nil, err
			}
			q, err := c.CA.ReviewResponse(ctx, bytes.TrimSpace(p.Response))
			if err != nil {
				return nil, nil, err
			}
			sum := sha256.Sum256(p.Response)
			show := []approval.Line{line("根声明版本", "Root statement", strconv.FormatUint(q.Statement.Version, 10)),
				line("有效至", "Until", time.Unix(q.Statement.Expires, 0).UTC().Format(time.RFC3339))}
			for _, item := range q.Certificates {
				show = append(show, line("签发机构证书", "Certificate of the issuing CA", item.Issuer+", key "+item.Key))
			}
			if len(q.Statement.Next) > 0 {
				show = append(show, line("指定的下一个根", "Names as the next root the key", ca.Fingerprint(q.Statement.Next)))
			}
			if len(q.Roots) > 1 {
				show = append(show, line("接任的根", "Takes over as root", ca.Fingerprint(q.Roots[1].DER)))
			}
			return resolve(resolvedRoot{q.ID, hex.EncodeToString(sum[:]), p.Response}, show...)
		},
		Run: func(ctx context.Context, resolved jsontext.Value, by approval.Decision) error {
			var r resolvedRoot
			if err := decode(resolved, &r); err != nil {
				return err
			}
			if err := c.CA.ApplyRoot(ctx, bytes.TrimSpace(r.Response), by.Actor()); err != nil {
				return err
			}
			return c.Trust.Publish(ctx)
		}}
}

// nothing is the parameters of an operation that has none.
type nothing struct{}

func (c *City) opRewrap() approval.Operation {
	return approval.Operation{Kind: OpRewrap, Title: web.Text{ZH: "更换密钥加密密钥", EN: "Replace the key-encryption key"},
		Check: func(_ context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			if err := decode(params, &nothing{}); err != nil {
				return nil, nil, err
			}
			return resolve(nothing{}, line("作用", "Effect", "every key and secret is sealed under the next key-encryption key"))
		},
		Run: func(ctx context.Context, _ jsontext.Value, by approval.Decision) error {
			if err := c.Ring.Rewrap(ctx, by.Actor()); !errors.Is(err, keys.ErrSameKEK) {
				return err
			}
			return nil
		}}
}

func (c *City) opLookup() approval.Operation {
	return approval.Operation{Kind: OpLookup, Title: web.Text{ZH: "更换检索密钥", EN: "Replace the lookup key"},
		Check: func(ctx context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			if err := decode(params, &nothing{}); err != nil {
				return nil, nil, err
			}
			since, err := c.LookupSince(ctx)
			if err != nil {
				return nil, nil, err
			}
			return resolve(resolvedLookup{since.UnixMicro()}, line("自此时起使用", "In use since", since.UTC().Format(time.RFC3339)),
				line("作用", "Effect", "people are found by new hashes; every row is indexed anew"))
		},
		Run: func(ctx context.Context, resolved jsontext.Value, by approval.Decision) error {
			var r resolvedLookup
			if err := decode(resolved, &r); err != nil {
				return err
			}
			return c.RotateLookupFrom(ctx, db.Time(r.From), by.Actor())
		}}
}

// resolvedLookup names the generation that is replaced, by its time in
// microseconds: it is replaced once.
type resolvedLookup struct {
	From int64 `json:"from"`
}

type exportRange struct {
	From int64 `json:"from"`
	To   int64 `json:"to"` // -1: the newest
}

func (c *City) opExport() approval.Operation {
	return approval.Operation{Kind: OpExport, Title: web.Text{ZH: "导出审计日志", EN: "Export the audit log"},
		Check: func(_ context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
			var p exportRange
			if err := decode(params, &p); err != nil {
				return nil, nil, err
			}
			if p.From < 0 || p.To < -1 || p.To >= 0 && p.To < p.From {
				return nil, nil, fault.New(fault.Invalid, "the range of events is empty")
			}
			to := "the newest"
			if p.To >= 0 {
				to = strconv.FormatInt(p.To, 10)
			}
			return resolve(p, line("范围", "Events", fmt.Sprintf("%d to %s", p.From, to)))
		},
		// What is approved is that a client may fetch it, see allowExport.
		Run: func(context.Context, jsontext.Value, approval.Decision) error { return nil }}
}
