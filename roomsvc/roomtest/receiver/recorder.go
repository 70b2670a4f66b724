package receiver

import "net/http"

// recorder notes the status that is answered.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status = status; status >= 200 {
		r.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap lets [http.ResponseController] reach the connection. Whoever takes it does not answer.
func (r *recorder) Unwrap() http.ResponseWriter {
	r.status = 0
	return r.ResponseWriter
}
