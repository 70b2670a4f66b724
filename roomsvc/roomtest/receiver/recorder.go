package receiver

import "net/http"

// recorder takes the delivery before the sender can hear of its success.
type recorder struct {
	http.ResponseWriter
	take func()
	said bool // there is a status, or nothing is answered
}

func (r *recorder) WriteHeader(status int) {
	if !r.said && status >= 200 && status < 300 {
		r.take()
	}
	r.said = r.said || status >= 200
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if !r.said {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection. Whoever takes it does not answer.
func (r *recorder) Unwrap() http.ResponseWriter {
	r.said = true
	return r.ResponseWriter
}
