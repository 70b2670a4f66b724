package inspector

import (
	"cmp"
	"container/heap"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"natsrooms/events"
	"natsrooms/roomsvc/room"
	"natsrooms/subjects"
)

const (
	usualCount = 100
	leastFresh = 1900 * time.Millisecond // a list of the rooms is used again for at least that long
	costShare  = 100                     // and for that many times as long as it took to make it
	mostFresh  = 10 * time.Second        // but no longer than that
	forgetsIn  = 30 * time.Second        // nobody asks: the list is dropped
	mostPages  = 32                      // of one list that are kept
	ratesFor   = 15 * time.Second        // after a request, rates are counted
)

// index is the list of all rooms. It is made when somebody asks, and used again for a while, so that it takes
// hardly more than one part in [costShare] of a processor, however many ask and however many rooms there are.
type index struct {
	inspector *Inspector

	mu      sync.Mutex // guards everything below; whoever asks waits for whoever makes the list
	rows    []row
	members int
	at      time.Time     // when the list was made; zero: there is none
	fresh   time.Duration // how long it is used
	seconds float64       // what the rates are over
	pages   map[string][]byte
	forget  *time.Timer
}

// row is one room of the list. Nothing that head points to ever changes.
type row struct {
	id   string
	head *room.Head
	rate float64
}

// view is what a page shows of the list.
type view struct {
	prefix, search, sort string
	desc                 bool
	after                *place // nil: the first page
	count                int
}

// place is a place in the order of a view.
type place struct {
	key float64
	id  string
}

// sorts are the keys by which rooms are sorted, and whether the largest come first unless a request says otherwise.
var sorts = map[string]struct {
	key  func(*row) float64
	desc bool
}{
	"members": {func(r *row) float64 { return float64(r.head.Members) }, true},
	"rate":    {func(r *row) float64 { return r.rate }, true},
	"age":     {func(r *row) float64 { return float64(r.head.CreatedAt) }, true},
	"name":    {func(*row) float64 { return 0 }, false},
}

// viewOf reads the parameters of GET rooms.
func viewOf(q *request) (v view, err error) {
	v = view{prefix: q.FormValue("prefix"), search: lower(q.FormValue("search")), sort: cmp.Or(q.FormValue("sort"), "members")}
	by, ok := sorts[v.sort]
	if !ok {
		return v, refused(room.Invalid("sort", "is %q; it must be members, rate, age or name", cut(v.sort)))
	}
	switch order := q.FormValue("order"); order {
	case "":
		v.desc = by.desc
	case "asc", "desc":
		v.desc = order == "desc"
	default:
		return v, refused(room.Invalid("order", "is %q; it must be asc or desc", cut(order)))
	}
	if flag := q.FormValue("after"); flag != "" {
		key, id, found := strings.Cut(flag, ":")
		number, err := strconv.ParseFloat(key, 64)
		if !found || err != nil || math.IsNaN(number) {
			return v, refused(room.Invalid("after", "is %q, which no page returned; start with an empty one", cut(flag)))
		}
		v.after = &place{number, id}
	}
	v.count, err = countOf(q, usualCount)
	return v, err
}

// countOf reads the parameter count.
func countOf(q *request, usual int) (int, error) {
	text := q.FormValue("count")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > room.MaxPage {
		e := room.Invalid("count", "is %q; it must be 1 to %d", cut(text), room.MaxPage)
		e.Limit = room.MaxPage
		return 0, refused(e)
	}
	return n, nil
}

// get answers GET rooms.
func (x *index) get(w http.ResponseWriter, q *request) error {
	v, err := viewOf(q)
	if err != nil {
		return err
	}
	x.inspector.rates.want(q.Backing)
	data, err := x.page(q.Backing, q.URL.RawQuery, v)
	if err != nil {
		return err
	}
	return sendRaw(w, http.StatusOK, data)
}

// page is the answer for a view.
func (x *index) page(b *Backing, query string, v view) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refresh(b)
	if data := x.pages[query]; data != nil {
		return data, nil
	}
	begun := time.Now()
	page := x.look(v)
	x.fresh = max(x.fresh, min(costShare*time.Since(begun), mostFresh)) // each new look goes through all rooms too
	page.AgainMs = int(max(x.fresh, 2*time.Second).Milliseconds())
	data, err := json.Marshal(page)
	if err == nil && len(x.pages) < mostPages {
		x.pages[query] = data
	}
	return data, err
}

// count is how many members all rooms together have.
func (x *index) count(b *Backing) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refresh(b)
	return x.members
}

// refresh makes the list, unless there is one that is new enough.
func (x *index) refresh(b *Backing) {
	if x.forget == nil {
		x.forget = time.AfterFunc(forgetsIn, x.drop)
	} else {
		x.forget.Reset(forgetsIn)
	}
	begun := time.Now()
	if !x.at.IsZero() && begun.Sub(x.at) < x.fresh {
		return
	}
	rates, seconds := x.inspector.rates.now()
	if seconds < 1 {
		rates, seconds = nil, 0 // too short to say something
	}
	x.rows, x.members, x.seconds = slices.Grow(x.rows[:0], int(b.Service.Glance().Rooms)), 0, seconds
	b.Service.Rooms(func(id subjects.Room, h *room.Head) {
		r := row{id: string(id), head: h}
		if n := rates[r.id]; n > 0 {
			r.rate = float64(n) / seconds
		}
		x.rows = append(x.rows, r)
		x.members += h.Members
	})
	x.at, x.pages = time.Now(), map[string][]byte{}
	x.fresh = max(leastFresh, min(costShare*x.at.Sub(begun), mostFresh))
}

// drop forgets the list.
func (x *index) drop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rows, x.pages, x.at = nil, nil, time.Time{}
}

// stop ends the timer.
func (x *index) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.forget != nil {
		x.forget.Stop()
	}
}

// look goes through the list once and keeps what is on the page.
func (x *index) look(v view) *RoomsPage {
	by := &order{key: sorts[v.sort].key, desc: v.desc, names: v.sort == "name"}
	page := &RoomsPage{Rooms: []RoomRow{}, Total: len(x.rows), Members: x.members, At: events.TimeOf(x.at), RateSeconds: round(x.seconds)}
	for n := range x.rows {
		r := &x.rows[n]
		if !strings.HasPrefix(r.id, v.prefix) || v.search != "" && !contains(r.id, v.search) && !contains(r.head.Name, v.search) {
			continue
		}
		page.Matched++
		if v.after != nil && !by.before(*v.after, place{by.key(r), r.id}) {
			continue
		}
		switch {
		case len(by.rows) <= v.count:
			heap.Push(by, r)
		case by.before(by.of(r), by.of(by.rows[0])):
			by.rows[0] = r
			heap.Fix(by, 0)
		}
	}
	slices.SortFunc(by.rows, func(a, b *row) int {
		if by.before(by.of(a), by.of(b)) {
			return -1
		}
		return 1
	})
	if len(by.rows) > v.count {
		by.rows = by.rows[:v.count]
		last := by.of(by.rows[v.count-1])
		page.NextFlag = strconv.FormatFloat(last.key, 'g', -1, 64) + ":" + last.id
	}
	for _, r := range by.rows {
		page.Rooms = append(page.Rooms, r.wire())
	}
	return page
}

// order is a heap of the rows of a page, with the last one on top.
type order struct {
	key   func(*row) float64
	desc  bool
	names bool // there is no key
	rows  []*row
}

func (o *order) of(r *row) place { return place{o.key(r), r.id} }

// before says which of two places comes first. Rooms with the same key are by ID, whatever the direction; without a key
// it is the ID that has a direction.
func (o *order) before(a, b place) bool {
	if a.key != b.key {
		return a.key > b.key == o.desc
	}
	return (a.id > b.id) == (o.names && o.desc) && a.id != b.id
}

func (o *order) Len() int           { return len(o.rows) }
func (o *order) Less(a, b int) bool { return o.before(o.of(o.rows[b]), o.of(o.rows[a])) }
func (o *order) Swap(a, b int)      { o.rows[a], o.rows[b] = o.rows[b], o.rows[a] }
func (o *order) Push(r any)         { o.rows = append(o.rows, r.(*row)) }
func (o *order) Pop() any {
	last := o.rows[len(o.rows)-1]
	o.rows = o.rows[:len(o.rows)-1]
	return last
}

func (r *row) wire() RoomRow {
	h := r.head
	return RoomRow{
		RoomID: r.id, RoomName: h.Name, InstanceID: h.InstanceID, CreatedAt: h.CreatedAt, CreatedBy: h.CreatedBy, Members: h.Members, MaxMembers: h.Config.MaxMembers,
		Access: h.Config.Access, Delivery: h.Config.Delivery, Sequence: h.Sequence, LastFactAt: h.FactAt, DestroyAt: h.DestroyAt(), Rate: math.Round(r.rate*100) / 100,
	}
}

// lower is a text with A to Z in lower case.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = low(c)
	}
	return string(b)
}

// contains says whether a text has a part, which is in lower case. It makes no copy.
func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		n := 0
		for n < len(part) && low(s[i+n]) == part[n] {
			n++
		}
		if n == len(part) {
			return true
		}
	}
	return false
}

func low(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
