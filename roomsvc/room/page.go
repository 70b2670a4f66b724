package room

import "strconv"

// Start checks that exactly one position is given, and puts it where the page before ended.
func (q *HistoryRequest) Start() *Error {
	given := 0
	var at **uint64
	for _, p := range []**uint64{&q.AfterSequence, &q.AfterMessageSeq, &q.BeforeMessageSeq} {
		if *p != nil {
			at = p
			given++
		}
	}
	if given != 1 {
		return Invalid("afterSequence", "or afterMessageSeq or beforeMessageSeq must say from where; %d of them do", given)
	}
	if q.InstanceID == "" {
		return Invalid("instanceID", "is empty; positions are those of one instance of a room, replies name it")
	}
	if q.NextFlag == "" {
		return nil
	}
	next, err := strconv.ParseUint(q.NextFlag, 10, 64)
	if err != nil {
		return Invalid("nextFlag", "is %q, which no page returned; start with an empty one", q.NextFlag)
	}
	*at = &next
	return nil
}

// PageCount is how many entries a page is to have.
func PageCount(count int) (int, *Error) {
	if count < 0 || count > MaxPage {
		e := Invalid("count", "is %d; it must be 1 to %d", count, MaxPage)
		e.Limit, e.Actual = MaxPage, int64(count)
		return 0, e
	}
	if count == 0 {
		count = MaxPage
	}
	return count, nil
}

// PageFlag is the nextFlag of a page that ends with m.
func PageFlag(m *Member) string { return strconv.FormatUint(m.Order, 36) }

// PageOrder reads a nextFlag of [PageFlag]; the empty one is the first page.
func PageOrder(flag string) (uint64, *Error) {
	if flag == "" {
		return 0, nil
	}
	order, err := strconv.ParseUint(flag, 36, 64)
	if err != nil {
		return 0, Invalid("nextFlag", "is %q, which no page returned; start with an empty one", flag)
	}
	return order, nil
}
