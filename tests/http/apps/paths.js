// The Node server of paths.py: the path is what the language's own URL type makes of the target, decoded.
const http = require('node:http');

const handlers = [['/admin', 'secret'], ['/public', 'public']];

function handlerOf(target) {
  let path;
  try {
    path = decodeURIComponent(new URL(target, 'http://localhost').pathname);
  } catch {
    return 'none';
  }
  for (const [name, handler] of handlers) {
    if (path === name || path.startsWith(name + '/')) return handler;
  }
  return 'none';
}

const server = http.createServer((request, response) => {
  const handler = handlerOf(request.url);
  response.writeHead(handler === 'none' ? 404 : 200, { 'Content-Type': 'text/plain', 'X-Handler': handler });
  response.end(handler);
});

server.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
