<?php
declare(strict_types=1);

/** The instance's own settings: instance, url, database. */
function settings(): array
{
    static $settings = null;
    return $settings ??= require __DIR__ . '/config.php';
}

/** A connection to the instance's own database, by its socket where it has one. */
function database(): PDO
{
    $at = settings()['database'];
    $where = $at['socket'] !== '' ? "unix_socket={$at['socket']}" : "host={$at['host']};port={$at['port']}";
    return new PDO("mysql:$where;dbname={$at['name']};charset=utf8mb4", $at['user'], $at['password'], [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        PDO::ATTR_TIMEOUT => 5,
    ]);
}
