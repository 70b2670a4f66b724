package inspector

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"natsrooms/events"
	"natsrooms/roomsvc/meter"
	"natsrooms/roomsvc/room"
	"natsrooms/roomsvc/roomtest"
)

// hundredThousand is an index of that many rooms.
func hundredThousand() *index {
	random := rand.New(rand.NewPCG(1, 2))
	x := &index{at: time.Now(), seconds: 10}
	for n := range 100_000 {
		h := &room.Head{Name: fmt.Sprintf("Room %d", n), InstanceID: "i", CreatedAt: events.Time(1_700_000_000_000 + random.Int64N(1_000_000)), Members: random.IntN(200)}
		r := row{id: fmt.Sprintf("r%05d", n), head: h}
		if n%100 == 0 {
			r.rate = float64(random.IntN(50)) / 10
		}
		x.rows = append(x.rows, r)
		x.members += h.Members
	}
	random.Shuffle(len(x.rows), func(a, b int) { x.rows[a], x.rows[b] = x.rows[b], x.rows[a] })
	return x
}

func viewFor(t *testing.T, values url.Values) view {
	t.Helper()
	v, err := viewOf(&request{Request: httptest.NewRequest(http.MethodGet, apiPath+"rooms?"+values.Encode(), nil)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The pages of a view of 100,000 rooms are all of them, each once, in order. How long one takes decides how often it is
// made; here it only must not take for ever.
func TestPagesOfHundredThousand(t *testing.T) {
	x := hundredThousand()
	keys := map[string]func(a, b RoomRow) int{
		"members": func(a, b RoomRow) int { return cmp.Compare(a.Members, b.Members) },
		"rate":    func(a, b RoomRow) int { return cmp.Compare(a.Rate, b.Rate) },
		"age":     func(a, b RoomRow) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) },
		"name":    func(a, b RoomRow) int { return strings.Compare(a.RoomID, b.RoomID) },
	}
	var took []time.Duration
	for sort, compare := range keys {
		for _, order := range []string{"asc", "desc"} {
			for _, filter := range []url.Values{{}, {"prefix": {"r0123"}}, {"search": {"OOM 99"}}} {
				all, matched := filter.Has("prefix") || filter.Has("search"), 0
				for _, r := range x.rows {
					if strings.HasPrefix(r.id, filter.Get("prefix")) && strings.Contains(r.head.Name, strings.Replace(filter.Get("search"), "OOM", "oom", 1)) {
						matched++
					}
				}
				values := url.Values{"sort": {sort}, "order": {order}, "count": {"500"}}
				for name := range filter {
					values.Set(name, filter.Get(name))
				}
				var rows []RoomRow
				for {
					begun := time.Now()
					page := x.look(viewFor(t, values))
					took = append(took, time.Since(begun))
					if rows = append(rows, page.Rooms...); page.Matched != matched || page.Total != 100_000 || page.Members != x.members {
						t.Fatalf("%v: %d of %d matched, want %d", values, page.Matched, page.Total, matched)
					}
					if page.NextFlag == "" || !all && len(rows) > 1000 {
						break
					}
					values.Set("after", page.NextFlag)
				}
				want := func(a, b RoomRow) int {
					c := compare(a, b)
					if order == "desc" {
						c = -c
					}
					return cmp.Or(c, strings.Compare(a.RoomID, b.RoomID))
				}
				if all && len(rows) != matched || !slices.IsSortedFunc(rows, want) {
					t.Errorf("%v: %d rows of %d, sorted: %v", values, len(rows), matched, slices.IsSortedFunc(rows, want))
				}
				if unique := slices.Compact(slices.Sorted(func(yield func(string) bool) {
					for _, r := range rows {
						if !yield(r.RoomID) {
							return
						}
					}
				})); len(unique) != len(rows) {
					t.Errorf("%v: a room is on two pages", values)
				}
			}
		}
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 2*time.Second {
		t.Errorf("a page takes %v", median)
	}
	roomtest.Figure(t, "a page of 100,000 rooms takes %v, of %d one %v", took[len(took)/2], len(took), took[len(took)-1])
}

// The first page is the start of what sorting everything would give.
func TestFirstPage(t *testing.T) {
	x := hundredThousand()
	page := x.look(viewFor(t, url.Values{}))
	sorted := slices.SortedFunc(slices.Values(x.rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(b.head.Members, a.head.Members), strings.Compare(a.id, b.id))
	})
	for n, r := range page.Rooms {
		if r.RoomID != sorted[n].id {
			t.Fatalf("room %d of the page is %s, want %s", n, r.RoomID, sorted[n].id)
		}
	}
	if len(page.Rooms) != usualCount {
		t.Errorf("%d rooms are on a page", len(page.Rooms))
	}
}

func TestContains(t *testing.T) {
	for _, c := range []struct {
		text, part string
		want       bool
	}{{"Lobby", "lob", true}, {"LOBBY", "bby", true}, {"Lobby", "obbyx", false}, {"", "a", false}, {"Café", "fé", true}, {"aab", "ab", true}} {
		if got := contains(c.text, lower(strings.ToUpper(c.part[:1])+c.part[1:])); got != c.want {
			t.Errorf("%q in %q: %v", c.part, c.text, got)
		}
	}
}

// What a histogram says of quantiles lies in the right bucket.
func TestQuantile(t *testing.T) {
	var d = hist(map[float64]uint64{0.001: 0, 0.0025: 90, 0.005: 98, 0.01: 100}, 100)
	for _, c := range []struct{ q, low, high float64 }{{0.5, 1, 2.5}, {0.95, 2.5, 5}, {0.99, 5, 10}} {
		if got := quantile(d, c.q); got < c.low || got > c.high {
			t.Errorf("quantile %v is %v ms, want %v to %v", c.q, got, c.low, c.high)
		}
	}
	if got := quantile(hist(map[float64]uint64{10: 0}, 5), 0.5); got != 10000 {
		t.Errorf("beyond the last bound: %v", got)
	}
	if got := quantile(hist(nil, 0), 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// Old slots of the rates stop counting.
func TestRatesPass(t *testing.T) {
	r := &rates{total: map[string]int{}, until: time.Now().Add(time.Hour), slot: time.Now()}
	for n := range r.count {
		r.count[n] = map[string]int{}
	}
	r.count[slots-1]["a"], r.total["a"] = 3, 3
	for n := range slots {
		if counted, _ := r.now(); counted["a"] != 3 {
			t.Fatalf("after %d slots: %v", n, counted)
		}
		if !r.next() {
			t.Fatal("it stops")
		}
	}
	counted, seconds := r.now()
	if counted["a"] != 0 || len(r.total) != 0 || seconds < (slots-1)*slotTime.Seconds() {
		t.Errorf("in the end: %v over %v s", counted, seconds)
	}
}

func hist(buckets map[float64]uint64, count uint64) meter.Histogram {
	return meter.Histogram{Count: count, Buckets: buckets}
}
