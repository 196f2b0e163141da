<?php
declare(strict_types=1);

// Makes the tables of a new instance. Reads {"instance", "database", "secrets"} on standard input for the
// title; the database itself is reached through config.php, as the pages will reach it.
require __DIR__ . '/../database.php';

$given = json_decode((string) stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
$database = database();
$database->exec('CREATE TABLE IF NOT EXISTS dashboards (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    title VARCHAR(120) NOT NULL UNIQUE,
    audience VARCHAR(120) NOT NULL,
    views INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB');
$database->exec('CREATE TABLE IF NOT EXISTS heartbeats (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    beat_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB');
$add = $database->prepare('INSERT IGNORE INTO dashboards (title, audience, views) VALUES (?, ?, ?)');
$rows = [
    ['Sales by region', 'Sales', 418],
    ['Open invoices', 'Finance', 96],
    ['Support response times', 'Service desk', 257],
    ['Stock on hand', 'Warehouse', 134],
];
foreach ($rows as $row) {
    $add->execute($row);
}
echo 'Tables dashboards and heartbeats are ready for ', $given['instance']['name'], ".\n";
