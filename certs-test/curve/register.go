package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/signet-city/signet/certs-test/cputime"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const (
	agency     = "donghu-amr"
	successor  = "jiangcheng-amr" // looks after what the agency issues, which goes on issuing
	knownFirm  = "91990101MA1F001175"
	firms      = 500       // that the measured issues draw their holders from
	strangers  = 1_000_000 // that the filling draws them from
	fillStep   = 2048      // licences of one transaction
	sealEvery  = 64        // such transactions
	leastIssue = 1024      // issues of one point
	mostIssue  = 16384
)

// register is a city whose licences are counted.
type register struct {
	engine     string
	city       *city.City
	listeners  *city.Listeners
	postmaster int
	holders    []string
	numbers    []string // of the last batch's licences
	served     []string // of holders, whose licences those are
	records    int64
	bytes      [2]int // of a sealed record and a sealed permit
	random     *mathrand.Rand
}

func open(ctx context.Context, engine, dir, url string, postmaster int) (*register, error) {
	const free = "127.0.0.1:0"
	where := city.Where{Data: filepath.Join(dir, "city"), Database: url}
	c, l, err := city.OpenDemo(ctx, city.Options{}, city.DemoOptions{Where: where, Addresses: city.Addresses{HTTPS: free, HTTP: free, MTLS: free, Debug: free}})
	if err != nil {
		return nil, err
	}
	r := &register{engine: engine, city: c, listeners: l, postmaster: postmaster, random: mathrand.New(mathrand.NewPCG(1, 2))}
	if err := r.prepare(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *register) close() error { return errors.Join(r.listeners.Close(), r.city.Close()) }

// prepare registers the holders, issues a first batch, and learns from it how long
// what is stored is.
func (r *register) prepare(ctx context.Context) error {
	known, err := r.city.Registry.FindFirm(ctx, knownFirm)
	if err != nil {
		return err
	}
	for i := range firms {
		f := registry.Firm{USCC: uscc(i), Name: fmt.Sprintf("江城东湖餐饮管理有限公司第%d店", i+1), LegalRep: known.LegalRep}
		if _, err := r.city.Registry.AddFirm(ctx, "curve", f); err != nil {
			return err
		}
		r.holders = append(r.holders, f.USCC)
	}
	if err := r.city.Registry.Succeed(ctx, "curve", registry.Succession{Agency: agency, Successor: successor}); err != nil {
		return err
	}
	if err := r.issue(ctx, licenses.Batch); err != nil {
		return err
	}
	return r.city.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM licenses), LENGTH(l.record), LENGTH(p.body) FROM licenses l JOIN permits p ON p.license = l.id
			ORDER BY l.id DESC LIMIT 1`).Scan(&r.records, &r.bytes[0], &r.bytes[1])
	})
}

// uscc returns the i-th of some unified social credit codes.
func uscc(i int) string { return checked(fmt.Sprintf("91990101MA7%06d", i)) }

// checked adds the check character of GB 32100 to a code.
func checked(s string) string {
	const chars = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for _, c := range s {
		sum += strings.IndexRune(chars, c) * weight
		weight = weight * 3 % 31
	}
	return s + string(chars[(31-sum%31)%31])
}

// issue issues n licences in batches and seals the log.
func (r *register) issue(ctx context.Context, n int) error {
	caller := web.Caller{ClientID: "bench", Agency: agency, Scopes: []string{licenses.Scope}}
	for n > 0 {
		batch := make([]licenses.Keyed, min(n, licenses.Batch))
		for i := range batch {
			batch[i] = licenses.Keyed{Key: db.NewID(), Request: r.request()}
		}
		results, err := r.city.Licenses.Issue(ctx, caller, batch)
		if err != nil {
			return err
		}
		r.numbers, r.served = r.numbers[:0], r.served[:0]
		for i, res := range results {
			if res.Err != nil {
				return res.Err
			}
			r.numbers, r.served = append(r.numbers, res.License.Number), append(r.served, batch[i].Request.Holder.USCC)
		}
		n -= len(batch)
		r.records += int64(len(batch))
	}
	_, err := r.city.Log.Seal(ctx)
	return err
}

func (r *register) request() licenses.Request {
	return licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: r.holders[r.random.IntN(len(r.holders))]}, Data: map[string]any{
		"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川", "category": "餐饮服务经营者",
		"scope": "热食类食品制售", "seats": float64(86), "area_m2": float64(240), "supervisor": "周予安", "online": "是"}}
}

// point measures issues at n records: half as many as there are, within bounds.
func (r *register) point(ctx context.Context, n int64) (point, error) {
	if err := r.settle(ctx); err != nil {
		return point{}, err
	}
	if err := r.issue(ctx, licenses.Batch); err != nil { // caches, prepared statements
		return point{}, err
	}
	runtime.GC()
	issues := int(min(max(n/2, leastIssue), mostIssue))
	before, err := cputime.Used(r.postmaster)
	if err != nil {
		return point{}, err
	}
	if err := r.issue(ctx, issues); err != nil {
		return point{}, err
	}
	after, err := cputime.Used(r.postmaster)
	if err != nil {
		return point{}, err
	}
	p := point{Records: n, CPU: float64(int((after-before)*1e7/float64(issues))) / 10}
	fmt.Fprintf(os.Stderr, "curve: %s %d records: %.1f µs\n", r.engine, p.Records, p.CPU)
	if p.Searches, err = r.search(ctx); err != nil {
		return point{}, err
	}
	p.tellSearches(r.engine)
	return p, nil
}

// settle brings what PostgreSQL knows of its tables up to date, as its autovacuum would,
// and writes out what the filling left in memory. SQLite is left as the service leaves
// it, which never analyses.
func (r *register) settle(ctx context.Context) error {
	if r.engine != "postgres" {
		return nil
	}
	return r.city.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, "ANALYZE")
		if err == nil {
			_, err = tx.ExecContext(ctx, "CHECKPOINT")
		}
		return err
	})
}

// fill inserts licences until there are n.
func (r *register) fill(ctx context.Context, n int64) error {
	begin, told := time.Now(), time.Now()
	for steps := 0; r.records < n; steps++ {
		if err := r.insert(ctx, int(min(n-r.records, fillStep))); err != nil {
			return err
		}
		if steps%sealEvery == sealEvery-1 || r.records >= n {
			if _, err := r.city.Log.Seal(ctx); err != nil {
				return err
			}
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "curve: %s filled %d of %d in %v\n", r.engine, r.records, n, time.Since(begin).Round(time.Second))
		}
	}
	return nil
}

// insert inserts n licences with permits and events.
func (r *register) insert(ctx context.Context, n int) error {
	err := r.city.DB.Update(ctx, func(tx db.Tx) error {
		var end int64
		err := tx.QueryRowContext(ctx, "UPDATE license_counters SET next = next + $1 WHERE name = 'place' RETURNING next", n).Scan(&end)
		if err != nil {
			return err
		}
		rows, permits, events := r.rows(end-int64(n), n)
		for values, some := range db.Inserts(licenseCols, rows) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO licenses (id, number, type, agency, holder_kind, holder, record, status, place, client,
				request_key, request_hash, not_after, created_at, changed_at) VALUES `+values, some...); err != nil {
				return err
			}
		}
		for values, some := range db.Inserts(permitCols, permits) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO permits (license, key, issued_at, body) VALUES `+values, some...); err != nil {
				return err
			}
		}
		_, err = audit.Append(ctx, tx, events...)
		return err
	})
	r.records += int64(n)
	return err
}

const (
	licenseCols = 15
	permitCols  = 4
)

// rows returns the arguments of the rows of n licences from a place on, and their
// events.
func (r *register) rows(place int64, n int) (rows, permits []any, events []audit.Event) {
	now := db.Micros(time.Now())
	until := db.Micros(time.Now().AddDate(5, 0, 0))
	key := db.NewID()
	for i := range n {
		id, hash, signed := db.NewID(), bytesOf(32), bytesOf(16)
		place := place + int64(i)
		number := fmt.Sprintf("ZZ%02d0101%d%07d", place%100, 2026, place)
		owner, status := fmt.Sprintf("agency-%d", r.random.IntN(100)), "issued"
		if i%4 == 0 {
			owner = agency
		} else if i%75 == 1 { // one in a hundred, and none of the agency that is measured
			status = "suspended"
		}
		rows = append(rows, id, number, "food-business", owner, "firm", fmt.Sprintf("91990101MB%07dX", r.random.IntN(strangers)), bytesOf(r.bytes[0]), status,
			place, owner+"-api", db.NewID(), hash, until, now, now)
		permits = append(permits, id, key, now, bytesOf(r.bytes[1]))
		events = append(events,
			audit.Event{Kind: licenses.EventIntent, Actor: "client:" + owner + "-api", Object: "license:" + id,
				Data: map[string]any{"number": number, "type": "food-business", "agency": owner, "place": place, "request": hash}},
			audit.Event{Kind: licenses.EventOutcome, Actor: "system", Object: "license:" + id, Data: map[string]any{"number": number, "key": key, "signed": signed}})
	}
	return rows, permits, events
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func named(list, name string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == name {
			return true
		}
	}
	return false
}
