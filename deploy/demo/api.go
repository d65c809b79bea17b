package demo

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Password is what every account of the demo's shop has; any other is refused.
const Password = "correct horse battery staple"

// API is the service behind the demo's gateway: a small shop with a login,
// products and orders. It answers from numbers, keeps nothing, and is harmless
// whatever is sent to it.
func API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("POST /api/v1/login", login)
	mux.HandleFunc("GET /api/v1/me", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"name": "Ada", "language": "en", "newsletter": false})
	})
	mux.HandleFunc("GET /api/v1/products", products)
	mux.HandleFunc("GET /api/v1/search", products)
	mux.HandleFunc("GET /api/v1/recommendations", products)
	mux.HandleFunc("GET /api/v1/products/{id}", func(w http.ResponseWriter, r *http.Request) {
		if n, ok := number(w, r, 20_000); ok {
			answer(w, http.StatusOK, product(n))
		}
	})
	mux.HandleFunc("GET /api/v1/orders", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"orders": []any{order(100_001), order(100_002)}})
	})
	mux.HandleFunc("POST /api/v1/orders", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusCreated, order(999_999))
	})
	mux.HandleFunc("GET /api/v1/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if n, ok := number(w, r, 1_000_000); ok {
			answer(w, http.StatusOK, order(n))
		}
	})
	mux.HandleFunc("GET /api/v1/cart/{id}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"cart": tag(r.PathValue("id")), "items": []any{product(7)}})
	})
	mux.HandleFunc("POST /api/v1/cart/{id}/items", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusCreated, map[string]any{"cart": tag(r.PathValue("id")), "items": 1})
	})
	mux.HandleFunc("GET /static/", static)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, map[string]string{"error": "not found"})
	})
	return mux
}

// answer writes JSON. A client that went away is no concern of the demo's.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// login accepts any account with the one password.
func login(w http.ResponseWriter, r *http.Request) {
	var form struct{ User, Password string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&form); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "want a JSON object with user and password"})
		return
	}
	if subtle.ConstantTimeCompare([]byte(form.Password), []byte(Password)) != 1 {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "wrong user or password"})
		return
	}
	token := sha256.Sum256([]byte(form.User))
	answer(w, http.StatusOK, map[string]string{"token": hex.EncodeToString(token[:])})
}

// products lists a page of products, whatever is searched for.
func products(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page, _ := strconv.Atoi(q.Get("page")) // anything else is the first page
	each, _ := strconv.Atoi(q.Get("per_page"))
	if each <= 0 || each > 100 {
		each = 10
	}
	page = max(page, 1)
	if page > 1000 {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such page"})
		return
	}
	list := make([]any, each)
	for i := range list {
		list[i] = product((page-1)*each + i + 1)
	}
	answer(w, http.StatusOK, map[string]any{"page": page, "products": list})
}

// number reads the id of the path, or answers 404.
func number(w http.ResponseWriter, r *http.Request, most int) (int, bool) {
	n, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || n < 1 || n > most {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such id"})
		return 0, false
	}
	return n, true
}

func product(n int) map[string]any {
	return map[string]any{"id": n, "name": fmt.Sprintf("Product %d", n), "price": 100 + n*37%9900, "stock": n * 13 % 50, "currency": "EUR"}
}

func order(n int) map[string]any {
	return map[string]any{"id": n, "state": [...]string{"open", "paid", "sent"}[n%3], "items": []any{product(n % 500)}}
}

// static serves made-up bytes, their number depending on the name.
func static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/static/")
	if name == "" || strings.Contains(name, "..") {
		answer(w, http.StatusNotFound, map[string]string{"error": "not found"})
		return
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.WriteString(w, strings.Repeat("portcullis ", 50+int(h.Sum32()%500)))
}

// tag makes an id that is safe to give back.
func tag(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:8])
}
