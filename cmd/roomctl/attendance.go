package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"natsrooms/events"
	"natsrooms/events/attendance"
)

type attendanceCmd struct {
	roomArg
	Instance string `xor:"part" placeholder:"ID" help:"The instance of the room, as roomctl instances lists them (the room as it is or, if there is none, was last)."`
	From     string `xor:"part" placeholder:"TIME" help:"From this moment on, whatever instance there was: 2026-01-02T15:04:05Z, or 2026-01-02 15:04:05 in local time."`
	To       string `placeholder:"TIME" help:"Up to this moment (now)."`
	Sum      bool   `help:"One line for each user, with all stays together."`
	Format   string `enum:"table,csv,json" default:"table" placeholder:"table" help:"${enum} (${default})."`
}

// attended is who was in a room.
type attended struct {
	RoomID   string            `json:"roomID"`
	From     events.Time       `json:"from,omitzero"`
	To       events.Time       `json:"to,omitzero"`
	Complete bool              `json:"complete"` // false: some facts are no longer kept, so that stays may be missing
	Stays    []stay            `json:"stays"`
	Totals   attendance.Totals `json:"totals"`
}

type stay struct {
	UserID     string            `json:"userID"`
	UserName   string            `json:"userName,omitzero"`
	InstanceID string            `json:"instanceID"`
	JoinedAt   events.Time       `json:"joinedAt"`
	LeftAt     events.Time       `json:"leftAt,omitzero"` // none: still in
	SpentMs    int64             `json:"spentMs"`         // up to now if still in
	Reason     events.LeftReason `json:"reason,omitzero"` // none: still in, or in at the end of the time that was asked for
}

func (c *attendanceCmd) Run(ctx context.Context, s *session) error {
	from, to, err := c.bounds(s)
	if err != nil {
		return err
	}
	r, err := s.reader(c.Room)
	if err != nil {
		return err
	}
	a, err := c.read(ctx, r, from, to)
	switch {
	case err != nil:
		return err
	case c.Format == "json" || s.programs():
		return s.own(a, "stays")
	}
	if !a.Complete {
		s.remark("some facts are no longer kept: who joined before then and has not left since is missing")
	}
	if c.Format == "csv" {
		return s.csv(a.csv(c.Sum))
	}
	fmt.Fprintln(s.stdout, s.look.attended(a, c.Sum))
	return nil
}

// bounds reads --from and --to; 0 is none.
func (c *attendanceCmd) bounds(s *session) (from, to events.Time, err error) {
	if c.From != "" {
		from, err = timeOf("--from", c.From, s.look.zone)
	}
	if c.To != "" && err == nil {
		to, err = timeOf("--to", c.To, s.look.zone)
	}
	switch {
	case err != nil:
	case to != 0 && c.Instance != "":
		err = usageError{errors.New("--to is for all instances; leave out --instance")}
	case to != 0 && to <= from:
		err = usageError{errors.New("--to is not after --from")}
	}
	return from, to, err
}

func (c *attendanceCmd) read(ctx context.Context, r *reader, from, to events.Time) (*attended, error) {
	ids, err := c.instances(ctx, r, from, to)
	if err != nil {
		return nil, err
	}
	a := &attended{RoomID: c.Room, From: from, To: to, Complete: true, Stays: []stay{}, Totals: attendance.Totals{}}
	var book attendance.Book
	for _, id := range ids {
		complete, err := r.facts(ctx, id, book.Add)
		if err != nil {
			return nil, err
		}
		a.Complete = a.Complete && complete
	}
	now := events.TimeOf(time.Now())
	for _, st := range attendance.Between(book.Stays(), from, to) {
		a.Stays = append(a.Stays, stay{st.UserID, st.UserName, st.InstanceID, st.JoinedAt, st.LeftAt, st.Spent(now), st.Reason})
		a.Totals.Add(st, now)
	}
	return a, nil
}

// instances is the one that was asked for or, with a time, all that there were then.
func (c *attendanceCmd) instances(ctx context.Context, r *reader, from, to events.Time) ([]string, error) {
	switch {
	case c.Instance != "":
		return []string{c.Instance}, nil
	case from == 0 && to == 0:
		id, err := r.instance(ctx)
		return []string{id}, err
	}
	all, err := r.instances(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, i := range slices.Backward(all) {
		if (to == 0 || i.CreatedAt < to) && (i.EndedAt == 0 || i.EndedAt > from) {
			ids = append(ids, i.InstanceID)
		}
	}
	return ids, nil
}

// summed is the stays of one user together.
type summed struct {
	user, name  string
	first, last events.Time // last is 0 if the user is still in
	attendance.Total
}

func (a *attended) sums() []summed {
	by := map[string]*summed{}
	for _, st := range a.Stays {
		u := by[st.UserID]
		if u == nil {
			u = &summed{user: st.UserID, first: st.JoinedAt, Total: a.Totals[st.UserID]}
			by[st.UserID] = u
		}
		u.name, u.last = cmp.Or(st.UserName, u.name), st.LeftAt
	}
	list := make([]summed, 0, len(by))
	for _, user := range slices.Sorted(maps.Keys(by)) {
		list = append(list, *by[user])
	}
	return list
}

func (l look) attended(a *attended, sum bool) string {
	if len(a.Stays) == 0 {
		return "nobody was in " + l.roomID(a.RoomID)
	}
	if sum {
		t := l.table("user", "name", "stays", "first joined", "last left", "time")
		for _, u := range a.sums() {
			t.AppendRow(table.Row{l.user(u.user), printable(u.name), u.Stays, l.time(u.first), l.time(u.last), span(u.SpentMs)})
		}
		return render(t)
	}
	t := l.table("user", "name", "joined", "left", "time", "why")
	for _, st := range a.Stays {
		t.AppendRow(table.Row{l.user(st.UserID), printable(st.UserName), l.time(st.JoinedAt), l.time(st.LeftAt), span(st.SpentMs), printable(string(st.Reason))})
	}
	return render(t)
}

// span is milliseconds for people, in whole seconds.
func span(ms int64) string {
	return fmt.Sprintf("%d:%02d:%02d", ms/3600_000, ms/60_000%60, ms/1000%60)
}

// csv has times in UTC.
func (a *attended) csv(sum bool) [][]string {
	at := func(t events.Time) string {
		if t == 0 {
			return ""
		}
		return t.String()
	}
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	if sum {
		rows := [][]string{{"user", "name", "stays", "first joined", "last left", "seconds"}}
		for _, u := range a.sums() {
			rows = append(rows, []string{u.user, printable(u.name), strconv.Itoa(u.Stays), at(u.first), at(u.last), seconds(u.SpentMs)})
		}
		return rows
	}
	rows := [][]string{{"user", "name", "instance", "joined", "left", "seconds", "reason"}}
	for _, st := range a.Stays {
		rows = append(rows, []string{st.UserID, printable(st.UserName), st.InstanceID, at(st.JoinedAt), at(st.LeftAt), seconds(st.SpentMs), string(st.Reason)})
	}
	return rows
}
