<?php
declare(strict_types=1);

// The scheduled task: one row a run, the last day kept.
require __DIR__ . '/../database.php';

$database = database();
$database->exec('INSERT INTO heartbeats () VALUES ()');
$database->exec('DELETE FROM heartbeats WHERE beat_at < NOW() - INTERVAL 1 DAY');
