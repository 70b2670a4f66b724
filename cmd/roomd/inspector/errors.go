package inspector

import (
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"natsrooms/roomsvc/room"
)

// refusal is a refusal with the status of the answer.
type refusal struct {
	status int
	why    *room.Error
}

func (r *refusal) Error() string { return r.why.Error() }

func forbidden(format string, args ...any) *refusal {
	return &refusal{http.StatusForbidden, room.Refuse(room.ErrNotAllowed, format, args...)}
}

func unavailable(format string, args ...any) *refusal {
	return &refusal{http.StatusServiceUnavailable, room.Refuse(room.ErrUnavailable, format, args...)}
}

func busy(format string, args ...any) *refusal {
	e := room.Refuse(room.ErrBusy, format, args...)
	e.RetryAfterMs = 1000
	return &refusal{http.StatusServiceUnavailable, e}
}

func refused(e *room.Error) *refusal { return &refusal{statusOf(e.Code.Name), e} }

// statusOf is the status of an answer with a code of the error table.
func statusOf(code string) int {
	switch code {
	case room.ErrParamInvalid.Name, room.ErrMessageTooLong.Name, room.ErrAttributeCount.Name, room.ErrAttributeKey.Name, room.ErrAttributeValue.Name, room.ErrAttributeTotal.Name,
		room.ErrMemberAttributeTotal.Name, room.ErrMemberAttributeKey.Name, room.ErrMemberAttributeValue.Name:
		return http.StatusBadRequest
	case room.ErrNotAllowed.Name, room.ErrBanned.Name, room.ErrMuted.Name, room.ErrBlocked.Name:
		return http.StatusForbidden
	case room.ErrRoomNotExist.Name, room.ErrUserNotInRoom.Name:
		return http.StatusNotFound
	case room.ErrRateLimited.Name:
		return http.StatusTooManyRequests
	case room.ErrBusy.Name, room.ErrUnavailable.Name:
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// refuse sends a refusal.
func refuse(w http.ResponseWriter, r *refusal) {
	if ms := r.why.RetryAfterMs; ms > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(ms)/1000))))
	}
	_ = send(w, r.status, r.why.Body())
}

// send answers with JSON.
func send(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return sendRaw(w, status, data)
}

func sendRaw(w http.ResponseWriter, status int, data []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(data)
	return err
}

// checkBody says why a request's body cannot be what it should be, and limits it.
func checkBody(w http.ResponseWriter, q *request) error {
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, room.Refuse(room.ErrParamInvalid, "the header Content-Type must be application/json")}
	}
	q.Body = http.MaxBytesReader(w, q.Body, mostBody)
	return nil
}

// body reads a request's body.
func body(q *request) ([]byte, error) {
	data, err := io.ReadAll(q.Body)
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		e := room.Refuse(room.ErrParamInvalid, "the body is longer than %d bytes", mostBody)
		e.Limit = mostBody
		return nil, &refusal{http.StatusRequestEntityTooLarge, e}
	}
	if err != nil {
		return nil, refused(room.Refuse(room.ErrParamInvalid, "the body cannot be read: %v", err))
	}
	return data, nil
}

// read reads a request's body into v.
func read(q *request, v any) error {
	data, err := body(q)
	if err == nil && len(data) > 0 {
		if wrong := json.Unmarshal(data, v); wrong != nil {
			return refused(room.Refuse(room.ErrParamInvalid, "the body is not what it should be: %v", wrong))
		}
	}
	return err
}
