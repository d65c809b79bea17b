// Starts Swagger UI on our own document, or on one of the API behind the gateway. Its validator
// is elsewhere, so it is off. The latter are to be read only: the API is not here.
const chosen = new URLSearchParams(window.location.search).get("document");
window.SwaggerUIBundle({
  url: chosen ? "/api/v1/documents/" + encodeURIComponent(chosen) : "/api/v1/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  ...(chosen ? { supportedSubmitMethods: [] } : {}),
});
