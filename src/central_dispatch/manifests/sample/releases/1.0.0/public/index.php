<?php
declare(strict_types=1);

require __DIR__ . '/../database.php';

function text(mixed $value): string
{
    return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** Prove PHP, the database and the installed tables, or answer 503. */
function health(): void
{
    header('Content-Type: application/json');
    header('Cache-Control: no-store');
    try {
        $database = database();
        $answer = [
            'status' => 'ok',
            'instance' => settings()['instance'],
            'php' => PHP_VERSION,
            'database' => $database->query('SELECT VERSION()')->fetchColumn(),
            'dashboards' => (int) $database->query('SELECT COUNT(*) FROM dashboards')->fetchColumn(),
        ];
    } catch (PDOException $error) {
        // The message may name the host and the account: it goes to the log, not to the visitor.
        error_log($error->getMessage());
        http_response_code(503);
        $answer = ['status' => 'error', 'database' => 'not reachable'];
    }
    echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), "\n";
}

$path = parse_url($_SERVER['REQUEST_URI'] ?? '/', PHP_URL_PATH);
if ($path === '/healthz') {
    health();
    return;
}
if ($path !== '/' && $path !== '/index.php') {
    http_response_code(404);
    header('Content-Type: text/plain; charset=utf-8');
    echo "Not found\n";
    return;
}
$name = settings()['instance'];
try {
    $database = database();
    $version = $database->query('SELECT VERSION()')->fetchColumn();
    $dashboards = $database->query('SELECT title, audience, views FROM dashboards ORDER BY views DESC')->fetchAll();
    $beat = $database->query('SELECT MAX(beat_at) FROM heartbeats')->fetchColumn();
} catch (PDOException $error) {
    error_log($error->getMessage());
    http_response_code(503);
    header('Content-Type: text/plain; charset=utf-8');
    echo "The portal cannot reach its database at the moment. Please try again later.\n";
    return;
}
header('Content-Type: text/html; charset=utf-8');
header("Content-Security-Policy: default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'");
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><?= text($name) ?> – sample portal</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<p>Sample portal</p>
<h1><?= text($name) ?></h1>
</header>
<main>
<table>
<caption>Dashboards</caption>
<thead><tr><th scope="col">Title</th><th scope="col">Audience</th><th scope="col">Views</th></tr></thead>
<tbody>
<?php foreach ($dashboards as $row): ?>
<tr><td><?= text($row['title']) ?></td><td><?= text($row['audience']) ?></td><td><?= text($row['views']) ?></td></tr>
<?php endforeach ?>
</tbody>
</table>
<dl>
<dt>Address</dt><dd><?= text(settings()['url']) ?></dd>
<dt>Database</dt><dd><?= text(settings()['database']['name']) ?> on <?= text($version) ?></dd>
<dt>PHP</dt><dd><?= text(PHP_VERSION) ?></dd>
<dt>Last heartbeat</dt><dd><?= $beat ? text($beat) : 'none yet: the scheduled task runs every minute' ?></dd>
</dl>
</main>
</body>
</html>
