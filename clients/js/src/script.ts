/** What a plain `<script>` or `importScripts` gets: the global `fanwire`. */
import { Fanwire } from './client.js';
import { json } from './codec.js';
import { FanwireError } from './errors.js';

Object.assign(globalThis, { fanwire: { Fanwire, FanwireError, json } });
